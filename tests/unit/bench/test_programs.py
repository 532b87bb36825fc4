"""The peers' programs and the processes under measurement."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hack.bench import process_tree
from hack.bench.go_program import GoProgram
from hack.bench.loops import LOOPS, Loop
from hack.bench.program import Program
from hack.bench.serving.environments import MissingError

SOURCE = GoProgram("peer", "example.com/peer", "v1.2.3", ".", ("manifests/crd.yaml",))
GO = """#!/bin/sh
if [ "$1" = mod ]; then echo '{"Dir": "%s"}'; exit; fi
while [ "$1" != -o ]; do shift; done
[ -e fail ] && { echo "cannot compile" >&2; exit 1; }
echo built > "$2"
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module's folder, a `go` that builds it, and an empty cache."""
    folder = tmp_path / "source"
    (folder / "manifests").mkdir(parents=True)
    (folder / "manifests" / "crd.yaml").write_text("kind: X")
    program = tmp_path / "bin" / "go"
    program.parent.mkdir()
    program.write_text(GO % folder)
    program.chmod(0o755)
    monkeypatch.setenv("MODELMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return folder


def test_a_program_is_built_once_with_its_manifests(source: Path) -> None:
    assert SOURCE.program().read_text() == "built\n"
    assert [one.read_text() for one in SOURCE.manifest_files()] == ["kind: X"]
    (source / "fail").touch()
    assert SOURCE.program().exists()


def test_a_build_that_fails_says_why_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    (source / "fail").touch()
    with pytest.raises(MissingError, match="cannot compile"):
        SOURCE.program()
    assert list((tmp_path / "cache" / "bench").iterdir()) == []


def test_without_go_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELMILL_CACHE", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(MissingError, match="install Go"):
        SOURCE.program()


def test_a_tree_counts_its_descendants(tmp_path: Path) -> None:
    child = "\n".join(
        [
            "import time",
            "end = time.process_time() + 0.2",
            "while time.process_time() < end: pass",
            "print('done', flush=True)",
            "time.sleep(60)",
        ]
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    program = Program([sys.executable, "-c", parent], os.environ, tmp_path / "log")
    try:
        limit = time.monotonic() + 60
        while "done" not in program.log.read_text() and time.monotonic() < limit:
            time.sleep(0.05)
        found = process_tree.pids(program.pid)
        assert len(found) == 2
        assert program.cpu_seconds() >= 0.2
        assert program.rss_mib() > process_tree.rollup(program.pid, "Rss:") / 1024
    finally:
        for pid in reversed(process_tree.pids(program.pid)):
            os.kill(pid, 9)
        program.process.wait()
    assert not program.alive()


def test_what_has_ended_counts_nothing() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert (process_tree.cpu_seconds(ended.pid), process_tree.rss_mib(ended.pid)) == (0, 0)


@pytest.mark.parametrize("loop", LOOPS, ids=lambda one: one.key)
def test_a_loops_objects_are_of_its_parents_kind(loop: Loop) -> None:
    body = loop.body("space", "one")
    assert (body["apiVersion"], body["kind"]) == (loop.parent.api_version, loop.parent.kind)
    assert (body["metadata"]["namespace"], body["metadata"]["name"]) == ("space", "one")
    for need in loop.needs("space", ["one", "two"]):
        assert need["kind"] == "ModelVersion"


def test_services_of_one_version_name_the_same_model() -> None:
    shared = next(one for one in LOOPS if one.key == "serving-shared")
    (version,) = shared.needs("space", ["one", "two"])
    assert {shared.body("space", name)["spec"]["model"]["name"] for name in ("one", "two")} == {
        version["spec"]["model"]
    }
