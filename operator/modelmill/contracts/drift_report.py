"""What the stage that writes a drift report is told: what was watched, by which limits, and where the page goes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from modelmill.contracts.documents import read_fields, reading
from modelmill.contracts.verdict import Holdout, Limits

REPORT_VERSION: Final = 1
FOLDER: Final = "reports"
"""Below the store's address."""


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """One report about the version that an InferenceService serves.

    uri: of the page; nothing is there yet. reason: why it is made, for people. created: RFC 3339 time at which it was asked
    for; the windows end then. limits: as in spec.monitoring.drift. maximum, min_labels: as in spec.monitoring.quality.
    holdout: how wrong the version was there, None if that is not known.
    """

    namespace: str
    service: str
    version: str
    uri: str
    reason: str
    created: str
    limits: Limits = field(default_factory=Limits)
    maximum: float | None = None
    min_labels: int = 100
    holdout: Holdout | None = None
    v: int = REPORT_VERSION


def page_uri(store_uri: str, namespace: str, service: str, name: str) -> str:
    """Return the address of a page. name: by which one report of a service is told from another."""
    return f"{store_uri.rstrip('/')}/{FOLDER}/{namespace}/{service}/{name}.html"


def encode(spec: ReportSpec) -> str:
    """Return the JSON that `decode` reads."""
    return json.dumps(asdict(spec), sort_keys=True, allow_nan=False)


def decode(text: str) -> ReportSpec:
    """Return the report's task. Raises ValueError naming what is wrong."""
    with reading("the report's task"):
        raw: Any = json.loads(text)
        if raw["v"] != REPORT_VERSION:
            raise ValueError(f"it is no report of version {REPORT_VERSION}")
        holdout = None if raw["holdout"] is None else read_fields(Holdout, raw["holdout"])
        return read_fields(ReportSpec, {**raw, "limits": read_fields(Limits, raw["limits"]), "holdout": holdout})
