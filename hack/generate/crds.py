"""Write crds/*.yaml from the pydantic models; with --check only compare and exit 1 on a difference."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from modelmill.api.schema import definitions

FOLDER = Path(__file__).resolve().parents[2] / "crds"
HEADER = "# Generated from operator/modelmill/api by `make generate`.\n"


def main() -> int:
    """Return 0 when the files are up to date or were written."""
    stale = []
    for definition in definitions():
        # Parts that two places share would be written as aliases, which few readers of a CRD expect.
        unshared = json.loads(json.dumps(definition))
        text = HEADER + yaml.safe_dump(unshared, sort_keys=False, width=120, allow_unicode=True)
        path = FOLDER / f"{definition['metadata']['name']}.yaml"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(path.name)
        if "--check" not in sys.argv:
            path.write_text(text)
    if stale:
        print(("out of date, run `make generate`: " if "--check" in sys.argv else "written: ") + ", ".join(stale))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
