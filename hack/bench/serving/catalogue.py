"""The servers that are compared: how each is installed, started and asked."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hack.bench.serving import dialects
from hack.bench.serving.dialects import Dialect
from hack.bench.serving.environments import HERE, clean_environ, environment
from hack.bench.serving.models import NAME, ROOT, Model

OURS, FASTAPI, HELLO, PROTOCOL = "ours", "fastapi", "hello", "hello-protocol"
OURS_GRPC, HELLO_GRPC = "ours-grpc", "hello-grpc"


@dataclass(frozen=True)
class Start:
    """What starts a server in a folder of its own. ports: of 127.0.0.1, the first one for HTTP, the second for gRPC."""

    model: Model
    folder: Path
    ports: list[int]


@dataclass(frozen=True)
class Peer:
    """One way to run one server.

    requirements: of requirements-{it}.txt, None for our own server. command: from the folder of its environment's programs.
    json, binary: the dialect for requests in JSON and, where it has them, with binary tensors. constant: it answers no labels.
    """

    name: str
    title: str
    requirements: str | None
    command: Callable[[Path, Start], list[str]]
    json: Dialect
    binary: Dialect | None = None
    environ: dict[str, str] = field(default_factory=dict)
    constant: bool = False

    def programs(self) -> Path:
        """Return the folder with its Python, made when it is missing. Raises MissingError."""
        return Path(sys.executable).parent if self.requirements is None else environment(self.requirements)

    def environment(self, start: Start) -> dict[str, str]:
        """Return the environment variables that it runs with."""
        found = {**clean_environ(), "BENCH_MODEL": str(start.model.joblib), **self.environ}
        if self.requirements is None:
            found["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("operator", "images/server"))
        else:
            found["PYTHONPATH"] = str(HERE / "peers")
        return found


def _ours(programs: Path, start: Start) -> list[str]:
    arguments = [str(start.model.artifact), "--host", "127.0.0.1", "--port", str(start.ports[0])]
    return [str(programs / "python"), "-m", "modelmill_server", *arguments]


def _ours_grpc(programs: Path, start: Start) -> list[str]:
    return [*_ours(programs, start), "--grpc-port", str(start.ports[1])]


def _hello_grpc(programs: Path, start: Start) -> list[str]:
    return [str(programs / "python"), str(HERE / "peers" / "grpc_hello_server.py"), str(start.ports[1])]


def _fastapi(*options: str) -> Callable[[Path, Start], list[str]]:
    def command(programs: Path, start: Start) -> list[str]:
        return [
            str(programs / "uvicorn"),
            "fastapi_server:app",
            "--port",
            str(start.ports[0]),
            "--workers",
            "1",
            *options,
        ]

    return command


def _mlserver(settings: Mapping[str, object]) -> Callable[[Path, Start], list[str]]:
    def command(programs: Path, start: Start) -> list[str]:
        ports = dict(zip(("http_port", "grpc_port", "metrics_port"), start.ports, strict=True))
        (start.folder / "settings.json").write_text(json.dumps({"host": "127.0.0.1", **ports, **settings}))
        model = {
            "name": NAME,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": str(start.model.joblib), "version": "v1"},
        }
        (start.folder / "model-settings.json").write_text(json.dumps(model))
        return [str(programs / "mlserver"), "start", str(start.folder)]

    return command


def _kserve(*options: str) -> Callable[[Path, Start], list[str]]:
    def command(programs: Path, start: Start) -> list[str]:
        port = ["--http_port", str(start.ports[0]), "--enable_grpc", "false", "--workers", "1"]
        return [str(programs / "python"), str(HERE / "peers" / "kserve_server.py"), *port, *options]

    return command


def _litserve(programs: Path, start: Start) -> list[str]:
    return [str(programs / "python"), str(HERE / "peers" / "litserve_server.py"), str(start.ports[0])]


def _bentoml(programs: Path, start: Start) -> list[str]:
    port = ["--host", "127.0.0.1", "--port", str(start.ports[0])]
    return [str(programs / "bentoml"), "serve", "bentoml_server:Sklearn", "--working-dir", str(HERE / "peers"), *port]


def _hello(programs: Path, start: Start) -> list[str]:
    options = ["--interface", "rsgi", "--host", "127.0.0.1", "--port", str(start.ports[0]), "--no-ws", "--http", "1"]
    return [str(programs / "granian"), *options, "--loop", "uvloop", "--workers", "1", "hello_server:app"]


def _protocol(programs: Path, start: Start) -> list[str]:
    return [str(programs / "python"), str(HERE / "peers" / "protocol_server.py"), str(start.ports[0])]


MLSERVER_TUNED = {"parallel_workers": 0, "debug": False}
NO_TRACKING = {"BENTOML_DO_NOT_TRACK": "True"}
PEERS = {
    peer.name: peer
    for peer in (
        Peer(OURS, "Modelmill", None, _ours, dialects.V2, dialects.V2_BINARY, {"MODELMILL_MODEL_NAME": NAME}),
        Peer(
            OURS_GRPC, "Modelmill, with gRPC", None, _ours_grpc, dialects.GRPC, environ={"MODELMILL_MODEL_NAME": NAME}
        ),
        Peer(HELLO_GRPC, "grpcio hello world", None, _hello_grpc, dialects.GRPC, constant=True),
        Peer(FASTAPI, "FastAPI, no access log", "fastapi", _fastapi("--no-access-log"), dialects.PLAIN),
        Peer("fastapi-default", "FastAPI, as it comes", "fastapi", _fastapi(), dialects.PLAIN),
        Peer("mlserver", "MLServer, parallel_workers 0, debug off", "mlserver", _mlserver(MLSERVER_TUNED), dialects.V2),
        Peer("mlserver-default", "MLServer, as it comes", "mlserver", _mlserver({}), dialects.V2),
        Peer(
            "kserve",
            "KServe, no latency log",
            "kserve",
            _kserve("--enable_latency_logging", "false"),
            dialects.V2_PLAIN,
            dialects.V2_BINARY_PLAIN,
        ),
        Peer("kserve-default", "KServe, as it comes", "kserve", _kserve(), dialects.V2_PLAIN, dialects.V2_BINARY_PLAIN),
        Peer("litserve", "LitServe", "litserve", _litserve, dialects.PLAIN),
        Peer("bentoml", "BentoML", "bentoml", _bentoml, dialects.PLAIN_LIST, environ=NO_TRACKING),
        Peer(HELLO, "granian hello world", "hello", _hello, dialects.PLAIN, constant=True),
        Peer(PROTOCOL, "uvloop + httptools hello world", "hello", _protocol, dialects.PLAIN, constant=True),
    )
}


def version(peer: Peer) -> str:
    """Return the pinned version of the peer's main package; empty for our own."""
    if peer.requirements is None:
        return ""
    package = {HELLO: "granian", PROTOCOL: "httptools"}.get(peer.name, peer.requirements)
    lines = (HERE / f"requirements-{peer.requirements}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
