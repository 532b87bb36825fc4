"""What remains after the processes have ended: pods, mounts, control groups, bridges, chains, links."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from network import remove_bridges, remove_chains
from node import ctr
from processes import Processes, start_time
from progress import Failed
from settings import Layout

MNT_DETACH = 2


def stop_pods(layout: Layout, processes: Processes) -> None:
    """Kill every container and remove it, so that no shim and no process of a pod stays."""
    if processes.alive("containerd"):
        for task in (ctr(layout, "tasks", "list", "--quiet") or "").split():
            ctr(layout, "tasks", "kill", "--signal", "SIGKILL", task)
        deadline = time.monotonic() + 10
        while (left := (ctr(layout, "tasks", "list", "--quiet") or "").split()) and time.monotonic() < deadline:
            for task in left:
                ctr(layout, "tasks", "delete", "--force", task)
        for container in (ctr(layout, "containers", "list", "--quiet") or "").split():
            ctr(layout, "containers", "delete", container)
    _end_orphans(layout)


def remove_leftovers(layout: Layout) -> None:
    """Mounts, control groups, bridges, iptables chains and the links in system folders that lead into our state."""
    _unmount(layout.root)
    _remove_cgroups()
    remove_bridges()
    remove_chains()
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.root):
            link.unlink()
    results = Path("/var/lib/cni/results")
    for result in results.glob(f"modelmill-{layout.name}-*-eth0"):
        sandbox = result.name.rsplit("-", 2)[1]
        (results / f"cni-loopback-{sandbox}-lo").unlink(missing_ok=True)
        result.unlink()


def _end_orphans(layout: Layout) -> None:
    """End shims of our containerd, and what runs in the pods' control groups when its shim is gone already."""
    victims = _shims(layout) | _pod_processes()
    known = {pid: start_time(pid) for pid in victims}
    for pid in known:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(begun is not None and start_time(pid) == begun for pid, begun in known.items()):
        if time.monotonic() > deadline:
            raise Failed(f"processes of pods do not end: {sorted(known)}")
        time.sleep(0.05)


def _shims(layout: Layout) -> set[int]:
    """Shims carry the address of their containerd on the command line."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "containerd-shim" in arguments[0] and str(layout.containerd_socket) in arguments:
                found.add(int(process.name))
    return found


def _pod_groups() -> list[Path]:
    """Control groups of pods, innermost first."""
    tops = [Path("/sys/fs/cgroup/kubepods"), *Path("/sys/fs/cgroup").glob("*/kubepods")]
    return [Path(folder) for top in tops if top.is_dir() for folder, _, _ in os.walk(top, topdown=False)]


def _pod_processes() -> set[int]:
    found: set[int] = set()
    for group in _pod_groups():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
    return found - {0}


def _remove_cgroups() -> None:
    for group in _pod_groups():
        # A group disappears with its last process, so it may be gone or still busy for a moment.
        for _ in range(20):
            with contextlib.suppress(FileNotFoundError):
                try:
                    group.rmdir()
                except OSError as error:
                    if isinstance(error, FileNotFoundError):
                        raise
                    time.sleep(0.05)
                    continue
            break


def _unmount(root: Path) -> None:
    """Unmount lazily whatever is mounted under a folder, the innermost first."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    library = ctypes.CDLL(None, use_errno=True)
    for mount in reversed(mounts):
        path = mount.encode().decode("unicode_escape")
        if Path(path).is_relative_to(root) and library.umount2(path.encode(), MNT_DETACH) != 0:
            raise Failed(f"cannot unmount {path}: {os.strerror(ctypes.get_errno())}")
