"""The bounds of the process that runs a model, as far as they can be told without one."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import pytest

from modelmill.contracts.stage import Store
from modelmill_trainer import syscalls
from modelmill_trainer.confinement import KEPT_FREE, Limits, available_memory
from modelmill_trainer.folders import folders
from modelmill_trainer.phases import STEPS, Asked, Phase
from modelmill_trainer.watched import bare_environment
from tests.unit.trainer.runs import spec_of

NODE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
OWN, OTHER = 42, 1
ALLOWED, REFUSED, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("536870912\n", (512 << 20) - KEPT_FREE),
        ("1000\n", KEPT_FREE),
        ("max\n", NODE // 2),
        ("9223372036854771712\n", NODE // 2),
        ("", NODE // 2),
        (None, NODE // 2),
    ],
)
def test_memory_is_that_of_the_container_or_half_of_the_node(tmp_path: Path, text: str | None, most: int) -> None:
    if text is not None:
        (tmp_path / "limit").write_text(text)
    assert available_memory([tmp_path / "limit"]) == most


def test_a_process_has_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("KEPT", "1")
    names = {
        "PATH",
        "LANG",
        "HOME",
        "PYTHONPATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONUNBUFFERED",
        "ORT_DISABLE_TELEMETRY",
    }
    assert set(bare_environment()) == names
    assert set(bare_environment(("KEPT", "ABSENT"))) == {*names, "KEPT"}


def test_what_is_asked_names_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = spec_of("/shop")
    skipped = {Phase.CHAMPION: "it crashed"}
    asked = Asked(spec, folders(Path("work")), Path("into"), skipped, Limits(1 << 30, 60), 7, 9)
    assert b"/shop/models" not in asked.encode()
    again = Asked.decode(asked.encode())
    assert again.spec.store == Store("")
    assert (again.folders.input, again.into) == (tmp_path / "work" / "input", tmp_path / "into")
    assert (again.skipped, again.limits, again.parent, again.progress) == (skipped, asked.limits, 7, 9)


def test_each_phase_has_words_and_a_time() -> None:
    assert set(STEPS) == set(Phase)
    assert all(step.words and step.seconds > 0 for step in STEPS.values())


def answer(program: bytes, number: int, machine: int, argument: int = 0) -> int:
    """Run a filter as the kernel does: a number, a machine, and the low half of the first argument."""
    data, place, value = {0: number, 4: machine, 16: argument}, 0, 0
    while True:
        code, yes, no, operand = struct.unpack_from("=HBBI", program, 8 * place)
        place += 1
        if code == 0x06:
            return int(operand)
        if code == 0x20:
            value = data[operand]
        else:
            true = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            place += yes if true else no


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_other_processes_and_the_network_are_refused(name: str) -> None:
    machine = syscalls._MACHINES[name]
    program = syscalls._filter(machine, OWN)

    def ask(number: int, argument: int = 0) -> int:
        return answer(program, number, machine.audit, argument)

    for number in (*machine.forks, *machine.reaches, *machine.opens):
        assert ask(number) == REFUSED
    for number in machine.own:
        assert (ask(number, OWN), ask(number, OTHER), ask(number, 0)) == (ALLOWED, REFUSED, REFUSED)
    assert (ask(machine.clone, 0x00010F00), ask(machine.clone, 0x11)) == (ALLOWED, REFUSED)
    assert ask(machine.clone3) == UNKNOWN
    assert [ask(machine.prlimit, one) for one in (0, OWN, OTHER)] == [ALLOWED, ALLOWED, REFUSED]
    assert ask(63) == ALLOWED
    assert answer(program, 63, 0x40000003) == REFUSED  # a number of another machine
    assert ask(0x40000000 | 63) == REFUSED


def test_numbers_are_those_of_the_kernel() -> None:
    unistd = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not unistd.is_file():
        pytest.skip("there are no headers of the kernel")
    lines = [line.split() for line in unistd.read_text().splitlines() if line.startswith("#define __NR_")]
    number = {words[1].removeprefix("__NR_"): int(words[2]) for words in lines}
    machine = syscalls._MACHINES["x86_64"]
    assert machine.forks == tuple(number[one] for one in ("fork", "vfork", "execve", "execveat"))
    assert machine.opens == (number["socket"], number["io_uring_setup"])
    assert machine.own == (number["kill"], number["tgkill"])
    assert (machine.clone, machine.clone3, machine.prlimit) == (number["clone"], number["clone3"], number["prlimit64"])
    reaches = ("ptrace", "rt_sigqueueinfo", "tkill", "rt_tgsigqueueinfo", "process_vm_readv", "process_vm_writev")
    pidfds = ("pidfd_send_signal", "pidfd_open", "pidfd_getfd")
    assert machine.reaches == tuple(number[one] for one in (*reaches, *pidfds))
