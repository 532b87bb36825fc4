"""Write crds/*.yaml from the pydantic models; with --check only compare and exit 1 on a difference."""

from __future__ import annotations

import json
import sys

import yaml

from hack.generated import ROOT, keep
from modelmill.api.schema import definitions

FOLDER = ROOT / "crds"
HEADER = "# Generated from operator/modelmill/api by `make generate`.\n"


def main() -> int:
    """Return 0 when the files are up to date or were written."""
    wanted = {}
    for definition in definitions():
        # Parts that two places share would be written as aliases, which few readers of a CRD expect.
        unshared = json.loads(json.dumps(definition))
        text = HEADER + yaml.safe_dump(unshared, sort_keys=False, width=120, allow_unicode=True)
        wanted[FOLDER / f"{definition['metadata']['name']}.yaml"] = text
    return keep(wanted)


if __name__ == "__main__":
    sys.exit(main())
