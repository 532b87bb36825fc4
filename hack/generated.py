"""Keeps generated files as they are to be."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def keep(wanted: Mapping[Path, str | bytes], present: Iterable[Path] = ()) -> int:
    """Write the files that are out of date, and remove those of `present` that are not wanted; return 0.

    With --check among the arguments of the program nothing is changed, and 1 is returned where something would be.
    """
    check = "--check" in sys.argv
    made = {path: text.encode() if isinstance(text, str) else text for path, text in wanted.items()}
    stale = [path for path, body in made.items() if not path.exists() or path.read_bytes() != body]
    extra = sorted(set(present) - made.keys())
    for path in stale if not check else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[path])
    for path in extra if not check else ():
        path.unlink()
    for path in (*stale, *extra):
        print(f"{'out of date, run `make generate`' if check else 'written'}: {path.relative_to(ROOT)}")
    return 1 if check and (stale or extra) else 0
