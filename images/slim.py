"""Take out of an image's environment what no program in it uses: tests, type stubs, the tools that installed it.

Run by the Dockerfiles with the environment's own Python; the folder to clean is that Python's site-packages.
"""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

TEST_FOLDERS = {"test", "tests", "testdata", "_tests"}
UNUSED_SUFFIXES = {".pyi", ".pyx", ".pxd", ".h", ".hpp", ".c", ".cpp", ".a", ".lib"}
INSTALLERS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
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
    for name in INSTALLERS:
        for path in [site / name, site / f"{name}.pth", *site.glob(f"{name}-*.dist-info")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (site / "distutils-precedence.pth").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
