"""What a process that runs somebody's model may not ask of the kernel: a seccomp filter, without privileges. Linux only."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from dataclasses import dataclass
from typing import Final

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2  # Source: prctl(2)
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # Source: linux/bpf_common.h
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000  # Source: linux/seccomp.h
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD: Final = 0x00010000
_X32: Final = 0x40000000  # numbers of the other interface of x86-64


@dataclass(frozen=True, slots=True)
class _Machine:
    """Numbers of system calls. forks: start a process; reaches: touch another process; opens: reach the network.

    own: take a process first, and may name this one only.
    """

    audit: int
    clone: int
    clone3: int
    prlimit: int
    forks: tuple[int, ...]
    reaches: tuple[int, ...]
    opens: tuple[int, ...]
    own: tuple[int, ...]


# Source: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of Linux.
_MACHINES: Final = {
    "x86_64": _Machine(
        audit=0xC000003E,
        clone=56,
        clone3=435,
        prlimit=302,
        forks=(57, 58, 59, 322),  # fork, vfork, execve, execveat
        # ptrace, rt_sigqueueinfo, tkill, rt_tgsigqueueinfo, process_vm_readv and writev, pidfd_send_signal, open, getfd
        reaches=(101, 129, 200, 297, 310, 311, 424, 434, 438),
        opens=(41, 425),  # socket, io_uring_setup
        own=(62, 234),  # kill, tgkill
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        clone=220,
        clone3=435,
        prlimit=261,
        forks=(221, 281),
        reaches=(117, 138, 130, 240, 270, 271, 424, 434, 438),
        opens=(198, 425),
        own=(129, 131),
    ),
}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def close_the_way_out() -> None:
    """Refuse this process, from here on and for ever, other processes and the network: EPERM. Threads are free.

    Without it a model could start processes that outlive it, signal the stage that watches it, or ask a cloud's metadata
    service for the pod's identity. On machines other than x86-64 and 64-bit ARM nothing is refused. Raises OSError.
    """
    machine = _MACHINES.get(platform.machine())
    if machine is None or not sys.platform.startswith("linux"):
        return
    content = _filter(machine, os.getpid())
    program = _Program(len(content) // 8, content)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program))):
        if libc.prctl(*arguments, 0, 0):
            raise OSError(ctypes.get_errno(), f"the kernel takes no seccomp filter: {os.strerror(ctypes.get_errno())}")


def _filter(machine: _Machine, own: int) -> bytes:
    refused, unknown, allowed = (_do(_RETURN, value) for value in (_ERRNO | errno.EPERM, _ERRNO | errno.ENOSYS, _ALLOW))
    argument = _do(_LOAD, _FIRST_ARGUMENT)
    rules = [_do(_LOAD, _MACHINE), _do(_EQUAL, machine.audit, yes=1), refused, _do(_LOAD, _NUMBER)]
    rules += [_do(_AT_LEAST, _X32, no=1), refused]
    for number in (*machine.forks, *machine.reaches, *machine.opens):
        rules += [_do(_EQUAL, number, no=1), refused]
    # Its flags lie in memory, where a filter cannot see them; the C library then takes clone.
    rules += [_do(_EQUAL, machine.clone3, no=1), unknown]
    rules += [_do(_EQUAL, machine.clone, no=4), argument, _do(_ANY_BIT, _CLONE_THREAD, no=1), allowed, refused]
    for number in machine.own:
        rules += [_do(_EQUAL, number, no=4), argument, _do(_EQUAL, own, no=1), allowed, refused]
    rules += [
        _do(_EQUAL, machine.prlimit, no=5),
        argument,
        _do(_EQUAL, 0, yes=1),
        _do(_EQUAL, own, no=1),
        allowed,
        refused,
    ]
    return b"".join([*rules, allowed])


def _do(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction. yes, no: how many to skip when the comparison holds, or does not."""
    return struct.pack("=HBBI", code, yes, no, value)
