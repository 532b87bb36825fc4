from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Processes, start_time
from progress import Failed


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    table = Processes(tmp_path / "processes.json", tmp_path / "logs")
    yield table
    for name in list(table.records):
        table.stop(name)


def test_a_component_is_started_once(processes: Processes) -> None:
    assert processes.ensure("sleeper", ["sleep", "100"])
    first = processes.records["sleeper"].pid

    assert not processes.ensure("sleeper", ["sleep", "100"])

    assert processes.records["sleeper"].pid == first


def test_other_arguments_or_files_start_it_anew(processes: Processes, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("a")
    processes.ensure("sleeper", ["sleep", "100"], files=[config])
    first = processes.records["sleeper"]

    config.write_text("b")

    assert processes.ensure("sleeper", ["sleep", "100"], files=[config])
    assert processes.records["sleeper"].pid != first.pid
    assert start_time(first.pid) != first.started


def test_the_record_outlives_the_program(processes: Processes) -> None:
    processes.ensure("sleeper", ["sleep", "100"])

    again = Processes(processes.file, processes.logs)

    assert again.alive("sleeper")


def test_stop_ends_a_process_that_ignores_sigterm(processes: Processes) -> None:
    processes.ensure("stubborn", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 100; done"])
    processes.wait("stubborn", lambda: "ready" in processes.log("stubborn").read_text(), seconds=10, what="trap")
    record = processes.records["stubborn"]

    processes.stop("stubborn", grace_seconds=0.2)

    assert start_time(record.pid) is None
    assert json.loads(processes.file.read_text()) == {}


def test_a_stranger_with_the_recorded_number_is_left_alone(processes: Processes) -> None:
    stranger = subprocess.Popen(["sleep", "100"])
    try:
        fields = {"pid": stranger.pid, "started": start_time(os.getpid()), "digest": ""}
        processes.file.write_text(json.dumps({"sleeper": fields}))
        again = Processes(processes.file, processes.logs)

        assert not again.alive("sleeper")
        again.stop("sleeper")

        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_ended_component_shows_the_end_of_its_log(processes: Processes) -> None:
    processes.ensure("broken", ["sh", "-c", "sleep 0.2; echo the disk is full; exit 3"])

    with pytest.raises(Failed, match="the disk is full"):
        processes.wait("broken", lambda: False, seconds=30, what="nothing")


def test_this_process_is_alive_and_an_impossible_one_is_not() -> None:
    assert start_time(os.getpid()) == start_time(os.getpid()) is not None
    assert start_time(2**22 + 1) is None
