"""Write docs/reference/estimators.md from measurements (about 40 s of CPU time).

With --check only compare the list of estimators, and exit 1 on a difference: whether the page is true, the tests measure.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("operator", "images/trainer", "images/server", "")]

from hack.estimators.cases import all_cases  # noqa: E402
from hack.estimators.runs import Prepared, prepare, publish_and_serve  # noqa: E402
from hack.estimators.table import PATH, page, rows  # noqa: E402


def main() -> int:
    """Return 0 when the page is up to date or was written."""
    cases = all_cases()
    if "--check" in sys.argv:
        stale = not PATH.exists() or list(rows()) != [(case.name, case.data) for case in cases]
        if stale:
            print(f"out of date, run `make generate`: {PATH.name}")
        return int(stale)
    logging.disable(logging.CRITICAL)  # models that refuse edge rows
    prepared: dict[str, Prepared] = {}
    measured = []
    with tempfile.TemporaryDirectory() as name:
        for place, case in enumerate(cases):
            if case.data not in prepared:
                prepared[case.data] = prepare(case.data, Path(name) / case.data)
            folder = Path(name) / f"artifact-{place}"
            folder.mkdir()
            measured.append((case, publish_and_serve(case, prepared[case.data], folder)))
    text = page(measured)
    if not PATH.exists() or PATH.read_text(encoding="utf-8") != text:
        PATH.write_text(text, encoding="utf-8")
        print(f"written: {PATH.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
