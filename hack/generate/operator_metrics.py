"""Write the table of docs/reference/operator-metrics.md from the operator's registry; with --check only compare.

Labels are read from the metrics themselves, so that a metric that is added or renamed is told by `make check`.
"""

from __future__ import annotations

import sys

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

import modelmill.app  # noqa: F401 - for what it registers
from hack.generated import ROOT, keep

PAGE = ROOT / "docs" / "reference" / "operator-metrics.md"
BEGIN, END = "<!-- metrics: begin -->\n", "<!-- metrics: end -->\n"


def table() -> str:
    """Return the rows of the metrics that importing the operator registers, sorted by name."""
    collectors = {one for one in REGISTRY._collector_to_names if isinstance(one, MetricWrapperBase)}
    rows = sorted(_row(one) for one in collectors if one._name.startswith("modelmill_"))
    return "| Metric | Type | Labels | |\n|---|---|---|---|\n" + "".join(rows)


def _row(metric: MetricWrapperBase) -> str:
    name = metric._name + ("_total" if metric._type == "counter" else "")
    labels = ", ".join(f"`{label}`" for label in metric._labelnames) or "-"
    return f"| `{name}` | {metric._type} | {labels} | {metric._documentation} |\n"


def main() -> int:
    """Return 0 when the page is up to date or was written."""
    text = PAGE.read_text()
    before, rest = text.split(BEGIN)
    return keep({PAGE: before + BEGIN + table() + END + rest.split(END)[1]})


if __name__ == "__main__":
    sys.exit(main())
