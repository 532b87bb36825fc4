"""Write the Grafana dashboards of the chart, from hack/dashboards; with --check only compare."""

from __future__ import annotations

import json
import sys

from hack.dashboards.operator import operator
from hack.dashboards.service import service
from hack.generated import ROOT, keep

FOLDER = ROOT / "charts" / "modelmill" / "files" / "dashboards"


def main() -> int:
    """Return 0 when the files are up to date or were written."""
    made = {"modelmill-operator.json": operator(), "modelmill-service.json": service()}
    wanted = {FOLDER / name: json.dumps(one, indent=1) + "\n" for name, one in made.items()}
    return keep(wanted, FOLDER.glob("*.json"))


if __name__ == "__main__":
    sys.exit(main())
