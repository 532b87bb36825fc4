"""Settings and artifact folders: what is refused before anything is loaded."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill.contracts.artifact import File, canonical, digest, parse_manifest
from modelmill_server.failure import StartError, leave_message
from modelmill_server.folder import open_folder, plain_name
from modelmill_server.settings import HELD_BYTES, cpu_threads, from_environment, held_bytes


@pytest.mark.parametrize(
    ("text", "threads"),
    [("max 100000", 1), ("50000 100000", 1), ("100000 100000", 1), ("200000 100000", 2), ("nonsense", 1), ("", 1)],
)
def test_threads_follow_the_limit_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, threads: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    (tmp_path / "cpu.max").write_text(text)
    assert cpu_threads(tmp_path / "cpu.max") == threads
    assert cpu_threads(tmp_path / "none") == 1


def test_environment_sets_the_limits() -> None:
    settings = from_environment(
        {
            names.ENV_MODEL_FOLDER: "/model",
            names.ENV_MODEL_NAME: "fuel",
            names.ENV_MAX_ROWS: "7",
            names.ENV_DRIFT_FEATURES: "0",
            names.ENV_WARMUP_REQUESTS: "",
        },
        None,
        "127.0.0.1",
        1,
    )
    assert (settings.folder, settings.model_name, settings.model_version) == (Path("/model"), "fuel", None)
    assert (settings.max_rows, settings.drift_features, settings.warmup_requests) == (7, 0, 10)


def test_what_an_admin_trusts() -> None:
    plain = from_environment({}, "/m", "127.0.0.1", 1)
    assert (plain.trusted_types, plain.allow_python, plain.grpc_port) == ((), False, 0)
    environ = {"MODELMILL_SKOPS_TRUSTED": "a.B, c.D", "MODELMILL_ALLOW_PYTHON": "1", "MODELMILL_GRPC_PORT": "8081"}
    given = from_environment(environ, "/m", "127.0.0.1", 1, None, ["e.F"])
    assert (given.trusted_types, given.allow_python, given.grpc_port) == (("a.B", "c.D", "e.F"), True, 8081)
    assert from_environment(environ, "/m", "127.0.0.1", 1, 9000).grpc_port == 9000
    for name, value in (("MODELMILL_ALLOW_PYTHON", "yes"), ("MODELMILL_BATCHING", "maybe")):
        with pytest.raises(StartError, match=f"{name} is '{value}': it must be one of"):
            from_environment({name: value}, "/m", "127.0.0.1", 1)


def test_folder_must_be_given() -> None:
    with pytest.raises(StartError, match=names.ENV_MODEL_FOLDER):
        from_environment({}, None, "127.0.0.1", 1)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\0"])
def test_file_names_stay_in_the_folder(name: str) -> None:
    with pytest.raises(StartError, match="plain name"):
        plain_name(name)


def test_manifest_that_points_outside_is_refused(tmp_path: Path) -> None:
    document = {
        "format": "onnx",
        "files": [dataclasses.asdict(File("../x", 1, "0"))],
        "signature": {"task": "regression", "inputs": [], "outputs": []},
        "metrics": {},
        "lineage": {},
        "created": "2026-01-02T03:04:05Z",
        "model": "m",
        "version": "1",
        "v": 1,
    }
    content = canonical(document)
    assert parse_manifest(content).files[0].name == "../x"
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(StartError) as refused:
        open_folder(tmp_path, digest(content))
    assert refused.value.reason == "ArtifactCorrupt"


def test_failure_leaves_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(tmp_path / "message"))
    failure = StartError("ModelLoadFailed", "one\n  two " + "x" * 10_000)
    leave_message(failure)
    assert failure.line().startswith("ModelLoadFailed: one two xxx")
    assert len((tmp_path / "message").read_bytes()) <= 4096
    assert (failure.exit_code, StartError("A", "b", final=False).exit_code) == (names.EXIT_FINAL, names.EXIT_RETRY)


@pytest.mark.parametrize(
    ("limit", "held"), [("268435456\n", 64 * 1024 * 1024), ("max\n", HELD_BYTES), ("", HELD_BYTES)]
)
def test_bytes_that_are_held_follow_the_memory_limit(tmp_path: Path, limit: str, held: int) -> None:
    (tmp_path / "memory.max").write_text(limit)
    assert held_bytes(tmp_path / "memory.max") == held
    assert held_bytes(tmp_path / "none") == HELD_BYTES
