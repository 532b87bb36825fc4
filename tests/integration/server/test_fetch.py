"""`fetch` as a process, from a folder and from an S3 endpoint on loopback that answers as stores do."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sklearn.linear_model import LinearRegression

from hack.artifacts import write_artifact
from modelmill.contracts import result
from modelmill.contracts.artifact import File, canonical, digest, parse_manifest
from tests.support.fitted import diabetes
from tests.support.model_server import Launcher, free_port, server_environment

FETCH = [sys.executable, "-m", "modelmill_server", "fetch"]
KEY = "/models/prefix/ns/demo/sha256-1"


@dataclass
class Made:
    folder: Path
    digest: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    frame, target = diabetes()
    folder = tmp_path_factory.mktemp("artifact") / "linear"
    return Made(folder, write_artifact(folder, LinearRegression().fit(frame, target), frame, matrix=True))


@dataclass
class Store:
    """An endpoint that serves a folder under /BUCKET/KEY, or the error that `fail` gives for a path."""

    folder: Path
    port: int = 0
    fail: Callable[[str], tuple[int, bytes] | None] = lambda path: None
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def store(made: Made, tmp_path: Path) -> Iterator[Store]:
    made_store = Store(Path(shutil.copytree(made.folder, tmp_path / "store")))

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            made_store.asked.append(path)
            failure = made_store.fail(path)
            file = made_store.folder / path.removeprefix(f"{KEY}/")
            if failure:
                status, body = failure
            elif path.startswith(KEY) and file.is_file():
                status, body = 200, file.read_bytes()
            else:
                status, body = 404, problem("NoSuchKey")
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made_store.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield made_store
    server.shutdown()
    thread.join()
    server.server_close()


def problem(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>words of the store</Message></Error>".encode()


@dataclass
class Fetched:
    code: int
    stderr: str
    folder: Path
    message: result.StageResult | None


def fetch(tmp_path: Path, uri: str, digest: str, endpoint: str = "", **environment: str) -> Fetched:
    termination = tmp_path / "termination"
    env = fetch_environment(tmp_path, uri, digest, endpoint, **environment)
    ended = subprocess.run(FETCH, env=env, capture_output=True, text=True, timeout=120, check=False)
    message = result.decode(termination.read_text()) if termination.exists() else None
    return Fetched(ended.returncode, ended.stderr, tmp_path / "target", message)


def fetch_environment(tmp_path: Path, uri: str, digest: str, endpoint: str, **environment: str) -> dict[str, str]:
    return {
        **server_environment(),
        "MODELMILL_ARTIFACT_URI": uri,
        "MODELMILL_ARTIFACT_DIGEST": digest,
        "MODELMILL_MODEL_FOLDER": str(tmp_path / "target"),
        "MODELMILL_TERMINATION_PATH": str(tmp_path / "termination"),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        **({"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {}),
        **environment,
    }


def from_store(tmp_path: Path, store: Store, digest: str, **environment: str) -> Fetched:
    return fetch(tmp_path, f"s3:/{KEY}", digest, f"http://127.0.0.1:{store.port}", **environment)


def test_files_come_from_a_store_and_are_served(tmp_path: Path, store: Store, made: Made, launch: Launcher) -> None:
    fetched = from_store(tmp_path, store, made.digest)
    assert (fetched.code, fetched.message) == (0, None), fetched.stderr
    assert {path.name: path.read_bytes() for path in fetched.folder.iterdir()} == {
        path.name: path.read_bytes() for path in made.folder.iterdir()
    }
    asked = len(store.asked)
    assert from_store(tmp_path, store, made.digest).code == 0
    assert store.asked[asked:] == [f"{KEY}/manifest.json"]
    server = launch(fetched.folder, ARTIFACT_DIGEST=made.digest)
    assert server.get("/v2/models/demo").status == 200


def test_files_come_from_a_folder(tmp_path: Path, made: Made) -> None:
    fetched = fetch(tmp_path, f"file://{made.folder}", made.digest)
    assert (fetched.code, fetched.message) == (0, None), fetched.stderr
    assert (fetched.folder / "model.onnx").read_bytes() == (made.folder / "model.onnx").read_bytes()


def test_what_is_not_served_is_neither_fetched_nor_missed(tmp_path: Path, made: Made, launch: Launcher) -> None:
    """rows.bin may have 32 MiB and is for the next run's comparison; a damaged one is no reason not to serve."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "with-rows"))
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    extra = tuple(File(name, 5, hashlib.sha256(b"right").hexdigest()) for name in ("rows.bin", "report.html"))
    content = canonical(replace(manifest, files=(*manifest.files, *extra)))
    (folder / "manifest.json").write_bytes(content)
    (folder / "rows.bin").write_bytes(b"wrong")
    fetched = fetch(tmp_path, f"file://{folder}", digest(content))
    assert (fetched.code, fetched.message) == (0, None), fetched.stderr
    assert not {"rows.bin", "report.html"} & {path.name for path in fetched.folder.iterdir()}
    assert launch(fetched.folder, ARTIFACT_DIGEST=digest(content)).get("/v2/models/demo").status == 200


def refused(fetched: Fetched, code: int, reason: str) -> str:
    """Return the message of a fetch that failed as it should: exit code, termination message, last line of stderr."""
    assert fetched.code == code, fetched.stderr
    assert fetched.message is not None
    assert (fetched.message.outcome, fetched.message.reason) == (result.FAILED, reason)
    line = fetched.stderr.strip().splitlines()[-1]
    assert line == f"{reason}: {fetched.message.reasons[0]}"
    assert "Traceback" not in fetched.stderr
    return line


@pytest.mark.parametrize(
    ("status", "error", "code", "reason"),
    [
        (403, "SignatureDoesNotMatch", 3, "StoreAuthFailed"),
        (403, "InvalidAccessKeyId", 3, "StoreAuthFailed"),
        (404, "XAdminUserNotFound", 3, "StoreAuthFailed"),
        (404, "NoSuchBucket", 3, "BucketNotFound"),
        (404, "NoSuchKey", 3, "ArtifactMissing"),
        (503, "SlowDown", 1, "StoreUnreachable"),
    ],
)
def test_refusal_of_the_store_is_told(
    tmp_path: Path, store: Store, made: Made, status: int, error: str, code: int, reason: str
) -> None:
    store.fail = lambda path: (status, problem(error))
    line = refused(from_store(tmp_path, store, made.digest), code, reason)
    assert error in line
    assert f"s3:/{KEY}/manifest.json" in line


def test_store_that_is_down(tmp_path: Path, made: Made) -> None:
    line = refused(fetch(tmp_path, f"s3:/{KEY}", made.digest, f"http://127.0.0.1:{free_port()}"), 1, "StoreUnreachable")
    assert "connect" in line.lower()


def test_connection_that_is_cut_is_tried_again(tmp_path: Path, made: Made) -> None:
    content = (made.folder / "manifest.json").read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
    answers = [head + content[:100], head + content, head + content]  # what may be damaged is asked for again
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for text in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        fetched = fetch(tmp_path, f"s3:/{KEY}", "sha256:" + "0" * 64, endpoint)
        thread.join()
    refused(fetched, 3, "DigestMismatch")  # the later attempts brought the whole manifest
    assert "trying again" in fetched.stderr


def test_missing_credentials(tmp_path: Path, store: Store, made: Made) -> None:
    home = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    refused(from_store(tmp_path, store, made.digest, **home), 3, "StoreAuthFailed")


def test_other_manifest_than_asked_for(tmp_path: Path, store: Store) -> None:
    line = refused(from_store(tmp_path, store, "sha256:" + "0" * 64), 3, "DigestMismatch")
    assert "expected sha256:000" in line
    assert not (tmp_path / "target" / "model.onnx").exists()


def test_file_of_the_right_size_and_wrong_content(tmp_path: Path, store: Store, made: Made) -> None:
    path = store.folder / "model.onnx"
    path.write_bytes(bytes(len(path.read_bytes())))
    assert "model.onnx has sha256" in refused(from_store(tmp_path, store, made.digest), 3, "DigestMismatch")
    assert not (tmp_path / "target" / "manifest.json").exists()
    assert not (tmp_path / "target" / "model.onnx").exists()


def test_file_that_is_too_long(tmp_path: Path, store: Store, made: Made) -> None:
    path = store.folder / "profile.json"
    path.write_bytes(path.read_bytes() * 2)
    assert "profile.json has" in refused(from_store(tmp_path, store, made.digest), 3, "DigestMismatch")


def test_file_that_is_gone(tmp_path: Path, made: Made) -> None:
    folder = shutil.copytree(made.folder, tmp_path / "store")
    (folder / "golden.json").unlink()
    assert "golden.json" in refused(fetch(tmp_path, f"file://{folder}", made.digest), 3, "ArtifactMissing")


@pytest.mark.parametrize("uri", ["http://x/y", "s3://bucket", "file://host/x", "models/1", ""])
def test_unusable_address(tmp_path: Path, uri: str) -> None:
    assert "MODELMILL_ARTIFACT_URI" in refused(fetch(tmp_path, uri, "sha256:1"), 3, "ConfigInvalid")


@dataclass
class Dripping:
    """A store that sends the first bytes of an answer and then one more now and then, for ever."""

    port: int
    dripped: threading.Event = field(default_factory=threading.Event)


@pytest.fixture(params=["head", "body"])
def dripping(request: pytest.FixtureRequest) -> Iterator[Dripping]:
    first = {"head": b"HTTP/1.1 200 OK\r\nX-Long: ", "body": b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n"}
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = Dripping(listener.getsockname()[1])

        def drip() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(first[request.param])
                        while not over.wait(0.1):
                            connection.sendall(b"x")
                            store.dripped.set()

        thread = threading.Thread(target=drip)
        thread.start()
        yield store
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_store_that_drips_is_given_up(tmp_path: Path, made: Made, dripping: Dripping) -> None:
    endpoint = f"http://127.0.0.1:{dripping.port}"
    fetched = fetch(tmp_path, f"s3:/{KEY}", made.digest, endpoint, MODELMILL_FETCH_SECONDS="2")
    line = refused(fetched, 1, "StoreUnreachable")
    assert f"s3:/{KEY}/manifest.json did not come within 2 s" in line


def test_term_ends_a_fetch_from_a_store_that_drips(tmp_path: Path, made: Made, dripping: Dripping) -> None:
    env = fetch_environment(tmp_path, f"s3:/{KEY}", made.digest, f"http://127.0.0.1:{dripping.port}")
    with subprocess.Popen(FETCH, env=env, stderr=subprocess.PIPE) as process:
        assert dripping.dripped.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
    message = result.decode((tmp_path / "termination").read_text())
    assert (message.reason, message.reasons) == ("Stopped", ("SIGTERM came while fetching the artifact",))


def test_artifact_that_does_not_fit_is_not_begun(tmp_path: Path, made: Made) -> None:
    """The volume may be the node's own disk, which a full one takes from all."""
    folder = Path(shutil.copytree(made.folder, tmp_path / "large"))
    manifest = parse_manifest((folder / "manifest.json").read_bytes())
    content = canonical(replace(manifest, files=(*manifest.files, File("more.bin", 1 << 60, "0" * 64))))
    (folder / "manifest.json").write_bytes(content)
    line = refused(fetch(tmp_path, f"file://{folder}", digest(content)), 1, "FolderNotWritable")
    assert f"the artifact has {(1 << 60) + sum(file.size for file in manifest.files)} bytes" in line
    assert list((tmp_path / "target").iterdir()) == []


def test_files_of_a_home_decide_nothing(tmp_path: Path, store: Store, made: Made) -> None:
    """HOME is a folder that a tenant's code may write: whoever names the endpoint gets the keys' signatures."""
    home = tmp_path / "home" / ".aws"
    home.mkdir(parents=True)
    (home / "config").write_text(f"[default]\nendpoint_url = http://127.0.0.1:{store.port}\n")
    (home / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(home.parent)}
    refused(from_store(tmp_path, store, made.digest, **keys), 3, "StoreAuthFailed")
    assert store.asked == []
    named = from_store(tmp_path, store, made.digest, **keys, AWS_SHARED_CREDENTIALS_FILE=str(home / "credentials"))
    assert named.code == 0, named.stderr
