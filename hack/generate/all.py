"""Run every generator beside this file; with --check only compare, and exit 1 when something is out of date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """Return 1 when a generator says that its files are out of date."""
    here = Path(__file__).resolve()
    scripts = sorted(path for path in here.parent.glob("*.py") if path != here)
    return max(subprocess.run([sys.executable, str(path), *sys.argv[1:]], check=False).returncode for path in scripts)


if __name__ == "__main__":
    sys.exit(main())
