"""gRPC under wrong and hostile messages and frames: a code and words, bounded memory, no traces, a good client beside."""

from __future__ import annotations

import os
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from sklearn.linear_model import Ridge

from hack.artifacts import write_artifact
from modelmill_server.protocols import inference_pb2 as pb
from modelmill_server.protocols.grpc_server import PROBES
from modelmill_server.protocols.grpc_service import MOST_CALLS
from modelmill_server.telemetry.logs import MOST_ENTRIES
from tests.support.fitted import cars, on_columns
from tests.support.grpc_calls import Stub, message
from tests.support.infer_requests import INFER as HTTP_INFER
from tests.support.infer_requests import request
from tests.support.model_server import Launcher, Running, free_port

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
MUTATIONS = int(os.environ.get("MODELMILL_GRPC_MUTATIONS", "1500"))
MEMORY_MIB = 150  # what each of these may add to the process
STREAMS = 256  # that a hostile connection opens
CODES = grpc.StatusCode


class Served:
    """A server with gRPC, and one good client of it."""

    def __init__(self, running: Running, port: int) -> None:
        self.running, self.port = running, port
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)])
        self.good = Stub(self.channel)
        self.want = self.good("ModelInfer", message()).outputs

    def send(self, data: bytes, path: str = INFER, **options: Any) -> bytes:
        answer: bytes = self.channel.unary_unary(path)(data, timeout=30, **options)
        return answer

    def refused(self, data: bytes, path: str = INFER, **options: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            self.send(data, path, **options)
        return caught.value.code(), caught.value.details()

    def require_good(self) -> None:
        """The good client is answered on its connection, and so is one on a new connection and one over HTTP."""
        assert self.good("ModelInfer", message()).outputs == self.want
        with grpc.insecure_channel(f"127.0.0.1:{self.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert Stub(channel)("ModelInfer", message()).outputs == self.want
        assert self.running.get("/v2/health/ready").status == 200

    def memory_mib(self) -> float:
        status = Path(f"/proc/{self.running.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


@pytest.fixture(scope="module")
def served(launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    frame, target = cars("unknown")
    folder: Path = tmp_path_factory.mktemp("artifact") / "cars"
    write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    port = free_port()
    running = launch_shared(folder, MODEL_NAME="fuel", MODEL_VERSION="fuel-3", GRPC_PORT=str(port))
    made = Served(running, port)
    yield made
    made.channel.close()
    assert "Traceback" not in running.log.read_text()


def changed(change: Callable[[Any], Any], *, raw: bool = False, rows: int = 1) -> bytes:
    made = message(rows, raw=raw)
    change(made)
    return bytes(made.SerializeToString())


def tensor(place: int = 0, **fields: Any) -> Callable[[Any], None]:
    def change(made: Any) -> None:
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(made.inputs[place], name)[:] = value
            else:
                setattr(made.inputs[place], name, value)

    return change


def content(place: int, value: bytes) -> Callable[[Any], None]:
    return lambda made: made.raw_input_contents.__setitem__(place, value)


def texts(*values: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(value)) + value for value in values)


HUGE = 2**62
BESIDE = "has contents beside raw_input_contents"
WRONG = [
    (b"\xff", "bytes are malformed"),
    (b"\x2a\xff\xff\xff\xff\x0f", "bytes are malformed"),
    (b"\x0a\x01\xff", "bytes are malformed"),  # a name that is not UTF-8
    (b"\x2a\x00" * 100_000, "more than 71 fields"),
    (b"\x32\x00" * 100_000, "more than 71 fields"),
    (b"\x3a\x00" * 100_000, "more than 71 fields"),
    (b"\x0b" * 100_000, "unknown type 3 of a field"),
    (b"\xff" * 100_000, "more than ten bytes"),
    (changed(tensor(shape=[-1])), "its shape"),
    (changed(tensor(shape=[-1]), raw=True), "no rows"),
    (changed(tensor(shape=[0]), raw=True), "no rows"),
    (changed(tensor(shape=[HUGE])), "its shape"),
    (changed(tensor(shape=[HUGE, HUGE, 4]), raw=True), "must be [rows]"),
    (changed(tensor(shape=[-HUGE, -1]), raw=True), "must be [rows]"),
    (changed(tensor(shape=[]), raw=True), "must be [rows]"),
    (changed(tensor(shape=[1] * 100_000), raw=True), "has shape [1, 1, 1, 1, 1, 1, 1, 1]"),
    (changed(lambda made: tensor(shape=[2**63 - 1, 3])(made) or made.inputs.__delitem__(slice(1, 3))), "its shape"),
    (changed(tensor(name="x" * 100_000), raw=True), "unknown input"),
    (changed(tensor(datatype="x" * 100_000), raw=True), "use one of BOOL"),
    (changed(tensor(datatype="FP32")), "values in fp64_contents: they go into fp32_contents"),
    (changed(tensor(datatype="FP16")), "in raw_input_contents only"),
    (changed(lambda made: made.inputs[0].contents.fp64_contents.append(1.0)), "has 2 values, its shape [1] says 1"),
    (changed(lambda made: made.inputs[0].ClearField("contents")), "has 0 values, its shape [1] says 1"),
    (changed(lambda made: made.inputs[0].contents.fp64_contents.append(1.0), raw=True), BESIDE),
    (changed(content(0, b"1234567"), raw=True), "no whole number of FP64 values"),
    (changed(content(0, b""), raw=True), "has 0 values"),
    (changed(content(0, b"12345678" * 1000), raw=True), "has 1000 values"),
    (changed(content(2, b"\x01"), raw=True), "no whole number of BYTES values"),
    (changed(content(2, b"\xff\xff\xff\xffUSA"), raw=True), "no whole number of BYTES values"),
    (changed(content(2, b"\x03\x00\x00\x00US"), raw=True), "no whole number of BYTES values"),
    (changed(content(2, texts(b"USA", b"USA")), raw=True), "has more than the 1 values"),
    (changed(content(2, texts(b"\xff\xfe")), raw=True), "not UTF-8"),
    (changed(content(2, bytes(4_000_000)), raw=True), "has more than the 1 values"),
    (changed(lambda made: made.raw_input_contents.append(b"")), "must be one for each"),
    (changed(lambda made: made.inputs.append(made.inputs[0]), raw=False), "is there twice"),
    (changed(lambda made: made.inputs[0].contents.fp64_contents.__setitem__(0, float("inf"))), "out of range"),
    (changed(lambda made: made.inputs[1].contents.ClearField("int64_contents")), "has 0 values"),
]


@pytest.mark.parametrize("place", range(len(WRONG)))
def test_wrong_messages_are_invalid_arguments_with_words(served: Served, place: int) -> None:
    data, words = WRONG[place]
    code, details = served.refused(data)
    assert code == CODES.INVALID_ARGUMENT
    assert words in details
    assert len(details) < 1500
    assert "Traceback" not in served.running.log.read_text()


def test_memory_is_bounded_by_the_bytes_that_come(served: Served) -> None:
    before = served.memory_mib()
    for tag in (b"\x2a\x00", b"\x3a\x00", b"\x32\x00", b"\x22\x00"):
        assert served.refused(tag * (8 * 1024 * 1024 - 100))[0] == CODES.INVALID_ARGUMENT
    assert served.refused(bytes(17 * 1024 * 1024))[0] == CODES.RESOURCE_EXHAUSTED
    bomb = served.refused(bytes(100 * 1024 * 1024), compression=grpc.Compression.Gzip)
    assert bomb[0] == CODES.RESOURCE_EXHAUSTED
    path = "/grpc.health.v1.Health/Check"
    assert served.refused(b"\x0a\xff\xff\x3f" + b"x" * 0xFFFFF, path)[0] == CODES.RESOURCE_EXHAUSTED
    served.require_good()
    assert served.memory_mib() - before < MEMORY_MIB


def test_refused_requests_do_not_pile_up(served: Served) -> None:
    """Each becomes some 250 MiB for a moment; exceptions that held it until the garbage collector came made it 2 GiB."""
    wide = changed(lambda made: made.inputs[0].shape.extend([1] * 15_000_000))
    before = served.memory_mib()
    for _ in range(8):
        assert served.refused(wide)[0] == CODES.INVALID_ARGUMENT
    assert served.memory_mib() - before < 1000


def test_malformed_messages_of_every_method_and_of_streams(served: Served) -> None:
    methods = [
        f"/inference.GRPCInferenceService/{method.name}"
        for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods
    ]
    methods.remove(STREAM)
    for path in (*methods, "/grpc.health.v1.Health/Check"):
        assert served.refused(b"\xff\xff", path)[0] == CODES.INVALID_ARGUMENT, path
    stream = served.channel.stream_stream(STREAM)
    answers = [
        pb.ModelStreamInferResponse.FromString(one)
        for one in stream(iter([b"\xff", message().SerializeToString()]), timeout=30)
    ]
    assert "malformed" in answers[0].error_message
    assert answers[1].infer_response.outputs == served.want
    for path in ("/grpc.health.v1.Health/Watch", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
        with pytest.raises(grpc.RpcError) as refused:
            list(served.channel.stream_stream(path)(iter([b"\xff"]), timeout=30))
        assert refused.value.code() == CODES.INVALID_ARGUMENT
    served.require_good()


def test_malformed_messages_do_not_fill_the_log(served: Served) -> None:
    def told() -> int:
        return served.running.log.read_text().count("bytes are malformed")

    before, call = told(), served.channel.unary_unary(INFER)
    for future in [call.future(b"\xff", timeout=30) for _ in range(300)]:
        assert future.exception().code() == CODES.INVALID_ARGUMENT
    assert told() > 0
    assert told() - before <= 2 * MOST_ENTRIES  # a period may end meanwhile


def test_methods_metadata_and_deadlines(served: Served) -> None:
    for path in ("/inference.GRPCInferenceService/Nothing", "/x/y", "/" + "x" * 4000 + "/y", "/"):
        code, details = served.refused(b"\xff", path)
        assert code == CODES.UNIMPLEMENTED
        assert len(details) < 400
    with pytest.raises(grpc.RpcError) as refused:
        list(served.channel.stream_stream("/x/y")(iter([b""]), timeout=30))
    assert refused.value.code() == CODES.UNIMPLEMENTED
    code, details = served.refused(message().SerializeToString(), metadata=[("x-long", "x" * 100_000)])
    assert code == CODES.RESOURCE_EXHAUSTED
    assert "metadata" in details
    ends = threading.Event()
    with pytest.raises(grpc.RpcError) as late:
        served.channel.stream_unary(INFER)(iter(lambda: ends.wait(30), True), timeout=0.3)
    ends.set()
    assert late.value.code() == CODES.DEADLINE_EXCEEDED
    served.require_good()
    assert served.running.metric("modelmill_requests_in_progress") == 0


def mutated(source: random.Random, seeds: list[bytes]) -> bytes:
    """Return a good message with a few bytes changed, cut out, doubled or put in from another one."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        match source.randrange(5):
            case 0:
                data[at : at + 1] = bytes((source.randrange(256),))
            case 1:
                del data[at : at + source.randint(1, 8)]
            case 2:
                data[at:at] = data[at : at + source.randint(1, 30)]
            case 3:
                data[at:at] = source.randbytes(source.randint(1, 6))
            case 4:
                other = source.choice(seeds)
                data[at:] = other[source.randrange(len(other) + 1) :]
    return bytes(data)


def test_mutated_messages_have_an_answer_of_ours(served: Served) -> None:
    seeds = [message(rows, raw=raw).SerializeToString() for rows in (1, 2) for raw in (True, False)]
    seeds.append(
        message(outputs=[{"name": "predict"}], parameters={"x": pb.InferParameter(int64_param=5)}).SerializeToString()
    )
    before = served.memory_mib()
    allowed = (CODES.INVALID_ARGUMENT, CODES.NOT_FOUND, CODES.RESOURCE_EXHAUSTED)
    call = served.channel.unary_unary(INFER)
    for begin in range(0, MUTATIONS, 50):
        source = random.Random(begin)
        sent = [mutated(source, seeds) for _ in range(50)]
        for data, future in [(data, call.future(data, timeout=30)) for data in sent]:
            error = future.exception()
            assert error is None or error.code() in allowed, (data.hex(), error)
            assert error is None or "Unexpected" not in error.details(), (data.hex(), error)
    served.require_good()
    assert served.memory_mib() - before < MEMORY_MIB


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"", length: int | None = None) -> bytes:
    """Return an HTTP/2 frame. Source: RFC 9113 §4.1."""
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """Return a header field, not indexed, as RFC 7541 §6.2.2 has it; up to 126 bytes each."""
    return b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value


DATA, HEADERS, RST, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def call_of(path: bytes, authority: bytes = b"x", *more: tuple[bytes, bytes]) -> bytes:
    """Return the header fields of a call."""
    fields = (
        (b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", authority),
        (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more,
    )  # fmt: skip
    return b"".join(literal(name, value) for name, value in fields)


CALL = call_of(INFER.encode())
HELLO = PREFACE + frame(SETTINGS)


def opened(place: int, call: bytes = CALL) -> bytes:
    return frame(HEADERS, END_HEADERS, 2 * place + 1, call)


def sent(place: int, call: bytes) -> bytes:
    """Return a call with an empty message, which ends the client's half of it."""
    return opened(place, call) + frame(DATA, END_STREAM, 2 * place + 1, bytes(5))


HOSTILE_FRAMES = {
    "no preface": [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    "preface of zeros": [bytes(100_000)],
    "half a preface": [PREFACE[:10]],
    "preface alone": [PREFACE],
    "a frame that is too long": [HELLO, frame(DATA, stream=1, length=0xFFFFFF), bytes(200_000)],
    "frames of unknown kinds": [HELLO, *(frame(kind % 246 + 10, 255, kind, b"x" * 100) for kind in range(5000))],
    "data of no stream": [HELLO, *(frame(DATA, 0, 1, bytes(1000)) for _ in range(2000))],
    "settings flood": [HELLO, *([frame(SETTINGS, payload=struct.pack(">HI", 4, 65535) * 100)] * 3000)],
    "wrong settings": [HELLO, frame(SETTINGS, payload=b"12345")],
    "ping flood": [HELLO, *([frame(PING, payload=b"12345678")] * 50_000)],
    "window flood": [HELLO, *([frame(WINDOW, payload=struct.pack(">I", 0x7FFFFFFF))] * 1000)],
    "rapid reset": [
        HELLO, *(opened(place) + frame(RST, 0, 2 * place + 1, struct.pack(">I", 8)) for place in range(5000)),
    ],
    "continuation flood": [
        HELLO, frame(HEADERS, 0, 1, CALL),
        *(frame(CONTINUATION, 0, 1, literal(b"x-%d" % place, b"y" * 100) * 100) for place in range(1000)),
    ],
    "continuation of no bytes": [HELLO, frame(HEADERS, 0, 1, CALL), *([frame(CONTINUATION, 0, 1)] * 50_000)],
    "headers without an end": [HELLO, *(frame(HEADERS, 0, 1, CALL + literal(b"x", b"y" * 100) * 100) for _ in range(100))],
    "indexed fields that are not there": [HELLO, frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\x0f")],
    "streams of even numbers": [HELLO, *(frame(HEADERS, END_HEADERS, 2 * place + 2, CALL) for place in range(1000))],
    "streams beyond the limit": [HELLO, *(opened(place) for place in range(5000))],
    "messages that claim 4 GB": [
        HELLO, *(opened(place) + frame(DATA, 0, 2 * place + 1, b"\x00\xff\xff\xff\xff" + bytes(100)) for place in range(200)),
    ],
    "messages of one byte each": [
        HELLO, opened(0), *([frame(DATA, 0, 1, b"\x00\x00\x00\x00\x01\xff")] * 20_000),
    ],
    "paths that are not UTF-8": [HELLO, *(sent(place, call_of(b"/\xff\xfe/\xc3")) for place in range(2000))],
    "open calls of paths that are not UTF-8": [HELLO, *(opened(place, call_of(b"/\xff")) for place in range(2000))],
    "hosts and values that are not UTF-8": [
        HELLO, *(sent(place, call_of(INFER.encode(), b"\xff", (b"x-odd", b"\xff\xfe"))) for place in range(500)),
    ],
    "going away": [HELLO, *([frame(GOAWAY, payload=bytes(8) + b"x" * 1000)] * 1000)],
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE_FRAMES))
def test_hostile_frames(served: Served, name: str) -> None:
    before = served.memory_mib()
    with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
        connection.settimeout(10)
        sends = threading.Thread(target=flood, args=(connection, HOSTILE_FRAMES[name]))
        sends.start()
        served.require_good()
        sends.join(30)
        assert not sends.is_alive()
        served.require_good()
        assert served.memory_mib() - before < MEMORY_MIB
    assert served.running.process.poll() is None


def flood(connection: socket.socket, parts: list[bytes]) -> None:
    """Send everything, reading what comes meanwhile, until the server ends the connection or five seconds are over."""
    data, limit = memoryview(b"".join(parts)), time.monotonic() + 5
    connection.setblocking(False)
    try:
        while data and time.monotonic() < limit:
            try:
                data = data[connection.send(data[:65536]) :]
            except BlockingIOError:
                time.sleep(0.01)
            try:
                if not connection.recv(65536):
                    return
            except BlockingIOError:
                continue
    except OSError:
        return


def test_a_path_that_is_not_utf8_is_unimplemented(served: Served) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", served.port), 10) as connection:
            connection.sendall(HELLO + sent(0, call_of(b"/\xff")))
            answer = b""
            while b"not supported" not in answer:
                part = connection.recv(65536)
                assert part, "the server ended the connection"
                answer += part
            assert b"grpc-status\x0212" in answer  # UNIMPLEMENTED
            served.require_good()
    assert "Traceback" not in served.running.log.read_text()


@pytest.mark.parametrize("path", [STREAM, INFER, "/inference.GRPCInferenceService/ServerLive"])
def test_probes_are_answered_while_strangers_hold_calls(served: Served, path: str) -> None:
    held_call = call_of(path.encode())
    with ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 10))
            connection.sendall(HELLO + b"".join(opened(place, held_call) for place in range(100)))
        if path in PROBES:
            wait_until(lambda: answers_live(served))  # while they come all at once, grpcio leaves some of any method
        else:
            wait_until(lambda: answers_with(served, CODES.RESOURCE_EXHAUSTED))
        for _ in range(20):
            with grpc.insecure_channel(f"127.0.0.1:{served.port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
                assert Stub(channel)("ServerLive", pb.ServerLiveRequest()).live
                assert Stub(channel)("ServerReady", pb.ServerReadyRequest()).ready
                assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=30) == b"\x08\x01"
    wait_until(lambda: answers_with(served, None))
    served.require_good()


def test_calls_that_stay_open_are_bounded(served: Served) -> None:
    before = served.memory_mib()
    with ExitStack() as stack:
        held = [
            stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 10))
            for _ in range(2 + MOST_CALLS // STREAMS)
        ]
        for connection in held:
            connection.sendall(HELLO + b"".join(opened(place) for place in range(STREAMS)))
        wait_until(lambda: answers_with(served, CODES.RESOURCE_EXHAUSTED))
        assert served.running.post(HTTP_INFER, request()).status == 200
        assert served.memory_mib() - before < MEMORY_MIB
    wait_until(lambda: answers_with(served, None))
    served.require_good()


def answers_with(served: Served, code: grpc.StatusCode | None) -> bool:
    error = served.channel.unary_unary(INFER).future(message().SerializeToString(), timeout=30).exception()
    return (error.code() if error is not None else None) == code


def answers_live(served: Served) -> bool:
    try:
        return bool(served.good("ServerLive", pb.ServerLiveRequest()).live)
    except grpc.RpcError:
        return False


def wait_until(reached: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not reached():
        assert time.monotonic() < limit
        time.sleep(0.05)
