"""The base that all images of the test cluster stand on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

from debian import BUILD, install, program
from progress import run, step
from settings import HERE, cache_root, is_root

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
UNNEEDED = (
    "dev/*", "proc/*", "sys/*", "run/*", "tmp/*", "boot", "debootstrap",
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/i18n", "usr/share/lintian",
    "usr/lib/x86_64-linux-gnu/gconv", "usr/lib/aarch64-linux-gnu/gconv",
    "var/cache/apt/*", "var/cache/debconf/*", "var/lib/apt/lists/*", "var/log/*",
)  # fmt: skip


def base_image() -> str:
    """`BASE_IMAGE` when it is set, else a Debian made here by debootstrap, or the public Python image without root."""
    if given := os.environ.get("BASE_IMAGE"):
        return given
    if not is_root():
        return "docker.io/library/python:3.11-slim-bookworm"
    recipe = json.dumps([SUITE, PACKAGES, UNNEEDED, (HERE / "images/base/Dockerfile").read_text()])
    return f"localhost/modelmill-base:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"


def prepare_base_context(context: Path) -> None:
    """Fill a folder with the Dockerfile and the root file system of the base."""
    install(BUILD)
    log = cache_root() / "logs" / "base-image.log"
    rootfs = cache_root() / "rootfs"
    shutil.rmtree(rootfs, ignore_errors=True)
    with step("making a Debian base image (debootstrap, about a minute)", log):
        command = [program("debootstrap") or "debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE]
        run([*command, str(rootfs)], log, env={"DEBIAN_FRONTEND": "noninteractive"})
        for pattern in UNNEEDED:
            for path in rootfs.glob(pattern):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for cache in rootfs.rglob("__pycache__"):
            shutil.rmtree(cache)
        archive = ["tar", "--create", "--numeric-owner", "--sort=name", f"--file={context / 'rootfs.tar'}"]
        run([*archive, f"--directory={rootfs}", "."], log)
    shutil.rmtree(rootfs)
    shutil.copy(HERE / "images/base/Dockerfile", context / "Dockerfile")
