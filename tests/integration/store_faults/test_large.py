"""Objects larger than a disk, than the memory, or than what is said of them: refused with words, or streamed."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from modelmill.contracts import names
from tests.integration.store_faults import programs
from tests.integration.store_faults.cells import Surroundings, Work, always, clear, play
from tests.integration.store_faults.proxy import GET, LIST, Call, Exchange, Fault, Strike

HUGE = 6 << 40  # the largest object of Amazon's S3 has 5 TiB


def listed(size: int) -> Fault:
    """Return a fault that lists each object with this size."""

    def play(exchange: Exchange) -> None:
        answer = exchange.forward()
        answer.body = re.sub(rb"<Size>\d+</Size>", b"<Size>%d</Size>" % size, answer.body)
        exchange.send(answer)

    return play


def endless(exchange: Exchange) -> None:
    """Answer with an object that is said to be huge, and goes on and on."""
    answer = exchange.forward()
    with suppress(OSError):
        exchange.client.sendall(answer.head(HUGE) + answer.body)
        while True:
            exchange.client.sendall(bytes(1 << 16))
    exchange.client.close()


def refused(surroundings: Surroundings, program: str, call: Call, fault: Fault) -> tuple[int, str, str]:
    """Play a fault that lasts and return exit code, reason and words."""
    work, played = play(surroundings, program, Strike(call, fault, always=True))
    assert list(always(work, program, played)) == []
    clear(work)
    failure = played.ended.failure
    return played.ended.code, failure.reason, " ".join(failure.reasons)


def test_data_that_no_memory_holds_are_not_begun(surroundings: Surroundings) -> None:
    code, reason, words = refused(surroundings, programs.FETCH, Call(LIST, "data/", 1), listed(HUGE))
    assert (code, reason) == (names.EXIT_FINAL, "OutOfMemory")
    assert f"with {2 * HUGE} bytes" in words
    assert "podTemplate.resources.limits.memory" in words


def test_an_object_of_data_that_does_not_end_is_left_at_its_listed_size(surroundings: Surroundings) -> None:
    code, reason, words = refused(surroundings, programs.FETCH, Call(GET, "data/a.csv", 1), endless)
    assert (code, reason) == (names.EXIT_RETRY, "DataChanged")
    assert "data/a.csv has" in words


def test_a_file_of_an_artifact_that_does_not_end_is_left_at_the_size_of_the_manifest(
    surroundings: Surroundings,
) -> None:
    work, played = play(surroundings, programs.SERVER_FETCH)
    clear(work)
    for call, _ in played.proxy.calls:
        code, reason, words = refused(surroundings, programs.SERVER_FETCH, call, endless)
        wanted = "ArtifactCorrupt" if call.name.endswith(names.MANIFEST_FILE) else "DigestMismatch"
        assert (code, reason) == (names.EXIT_FINAL, wanted), words


def test_files_larger_than_the_memory_are_streamed(surroundings: Surroundings) -> None:
    """There and back, with a fraction of the memory that the file would take: a sparse one, so that no disk is filled."""
    work = Work(surroundings, surroundings.folder / "large", "large/", surroundings.endpoint)
    program = work.program(programs.CARRY)
    program.folder.mkdir()
    with (program.folder / "sparse").open("wb") as file:
        os.truncate(file.fileno(), programs.CARRIED)
    ended = program.run()
    clear(work)
    assert ended.code == 0, ended.err
    assert int(ended.out) < programs.CARRIED // 4
