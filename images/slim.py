"""Take out of an image's environment what no program in it uses: tests, type stubs, symbols, the tools that installed it.

Run by the Dockerfiles with the environment's own Python; the folder to clean is that Python's site-packages.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import sysconfig
from pathlib import Path

TEST_FOLDERS = {"test", "tests", "testdata", "_tests"}
UNUSED_SUFFIXES = {".pyi", ".pyx", ".pxd", ".h", ".hpp", ".c", ".cpp", ".a", ".lib"}
INSTALLERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
# For preparing models of language and for programs in C; the Python interface of onnxruntime holds a copy of the library.
UNUSED_PARTS = (
    "onnxruntime/transformers",
    "onnxruntime/tools",
    "onnxruntime/quantization",
    "onnxruntime/capi/libonnxruntime.so.*",
    # A protocol between servers.
    "pyarrow/_flight*",
    "pyarrow/libarrow_flight.so*",
    "pyarrow/libarrow_python_flight.so*",
)
# The only services of the AWS client that this project talks to, and what signing in needs.
AWS_SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}


def main() -> None:
    """Clean the environment of the Python that runs this."""
    site = Path(sysconfig.get_paths()["purelib"])
    for folder in sorted(path for path in site.rglob("*") if path.is_dir() and not path.is_symlink()):
        if folder.exists() and folder.name in TEST_FOLDERS:
            shutil.rmtree(folder)
    for file in site.rglob("*"):
        if file.suffix in UNUSED_SUFFIXES and file.is_file():
            file.unlink()
    for data in (site / "botocore" / "data", site / "boto3" / "data"):
        for service in data.glob("*/"):
            if service.name not in AWS_SERVICES:
                shutil.rmtree(service)
    for part in UNUSED_PARTS:
        for path in site.glob(part):
            remove(path)
    for name in INSTALLERS:
        for path in [site / name, site / f"{name}.pth", *site.glob(f"{name}-*.dist-info")]:
            remove(path)
    (site / "distutils-precedence.pth").unlink(missing_ok=True)
    libraries = sorted(path for path in site.rglob("*.so*") if path.is_file() and not path.is_symlink())
    for library in libraries:
        cut_symbols(library)
    join_equal(libraries)


def remove(path: Path) -> None:
    """Remove a file or a folder, where there is one."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def cut_symbols(library: Path) -> None:
    """Cut off what lies behind a shared library's last segment: symbols and section names, which only debuggers read.

    Loading reads segments only. Source: System V ABI, chapter 5; 64-bit little-endian ELF, others are left as they are.
    """
    content = bytearray(library.read_bytes())
    if content[:6] != b"\x7fELF\x02\x01":
        return
    (place,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    end = place + size * count
    for header in range(place, end, size):
        offset, _, _, length = struct.unpack_from("<QQQQ", content, header + 8)
        end = max(end, offset + length)
    struct.pack_into("<Q", content, 40, 0)  # e_shoff: no section headers,
    struct.pack_into("<HH", content, 60, 0, 0)  # e_shnum, e_shstrndx: none
    library.write_bytes(content[:end])


def join_equal(files: list[Path]) -> None:
    """Make files of the same content one file of several names."""
    known: dict[str, Path] = {}
    for file in files:
        first = known.setdefault(hashlib.sha256(file.read_bytes()).hexdigest(), file)
        if first is not file:
            file.unlink()
            os.link(first, file)


if __name__ == "__main__":
    main()
