"""Write docs/reference/data-gates.md from what the data gates say of corrupted data; with --check only compare (3 s)."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("operator", "images/trainer", "")]

from hack.data_gates.page import PATH, page  # noqa: E402


def main() -> int:
    """Return 0 when the page is up to date or was written."""
    text = page()
    if PATH.exists() and PATH.read_text(encoding="utf-8") == text:
        return 0
    if "--check" in sys.argv:
        print(f"out of date, run `make generate`: {PATH.name}")
        return 1
    PATH.write_text(text, encoding="utf-8")
    print(f"written: {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
