"""Debian packages the cluster needs, installed when their programs are missing."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from pathlib import Path

from progress import Failed, locked, run, step
from settings import CNI_BIN, cache_root, is_root

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
LIGHT = {"openssl": "openssl"}
FULL = {
    **LIGHT,
    "containerd": "containerd",
    "runc": "runc",
    "iptables-save": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "mount": "mount",
    f"{CNI_BIN}/bridge": "containernetworking-plugins",
}
BROWSER = {"chromium": "chromium"}  # the test of the report looks at it in one
BUILD = {"buildah": "buildah", "skopeo": "skopeo", "debootstrap": "debootstrap"}
NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive"}


def program(name: str) -> str | None:
    """The path of an installed program, looked for in the system folders too."""
    return shutil.which(name, path=SEARCH_PATH)


def missing(wanted: dict[str, str]) -> list[str]:
    """The packages whose program is not there."""
    packages = {package for name, package in wanted.items() if program(name) is None}
    if importlib.util.find_spec("ensurepip") is None and wanted is BUILD:
        packages.add("python3-venv")
    return sorted(packages)


def install(wanted: dict[str, str]) -> None:
    """Install what is missing with apt-get; does nothing when everything is there."""
    packages = missing(wanted)
    if not packages:
        return
    if program("apt-get") is None or not is_root():
        raise Failed(f"these packages are missing and cannot be installed from here: {', '.join(packages)}")
    log = cache_root() / "logs" / "apt.log"
    with locked(cache_root() / "apt.lock"), step(f"installing {', '.join(packages)}", log):
        apt(["apt-get", "install", "-y", "--no-install-recommends", *packages], log)


def apt(argv: list[str], log: Path, cwd: Path | None = None) -> None:
    """Run apt-get; lists that are missing or too old to name existing files are fetched first."""
    if any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        with contextlib.suppress(Failed):
            return run(argv, log, cwd=cwd, env=NONINTERACTIVE)
    run(["apt-get", "update"], log, env=NONINTERACTIVE)
    return run(argv, log, cwd=cwd, env=NONINTERACTIVE)


def unpacked(package: str) -> Path:
    """A folder with the files of a Debian package, fetched once and not installed."""
    log = cache_root() / "logs" / "apt.log"
    folder = cache_root() / "debian" / package
    if (folder / "usr").exists() or (folder / "bin").exists():
        return folder
    with locked(cache_root() / "apt.lock"):
        downloads = cache_root() / "debian" / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        for old in downloads.glob(f"{package}_*.deb"):
            old.unlink()
        apt(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], log, downloads)
        (archive,) = downloads.glob(f"{package}_*.deb")
        partial = folder.with_suffix(".new")
        shutil.rmtree(partial, ignore_errors=True)
        run(["dpkg", "-x", str(archive), str(partial)], log)
        partial.replace(folder)
    return folder
