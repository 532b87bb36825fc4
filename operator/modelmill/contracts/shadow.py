"""What a serving pod is told about a version that is to answer a sample of its requests too, unseen by any client."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final

SHADOW_VERSION: Final = 1
MAX_BYTES: Final = 64 * 1024
MAX_TEXT: Final = 253
HEADER: Final = "modelmill-shadow"
"""Header of a mirrored request, with the name of the version that mirrors. Who gets it mirrors the request no further."""

# Metrics of who mirrors, with the labels of its model, LABELS, and those named here.
LABELS: Final = ("shadow_version", "shadow_revision")
METRIC_REQUESTS: Final = "modelmill_shadow_requests_total"  # result: one of RESULTS
METRIC_COMPARED: Final = "modelmill_shadow_compared_total"
METRIC_DISAGREED: Final = "modelmill_shadow_disagreed_total"  # reason
METRIC_DROPPED: Final = "modelmill_shadow_dropped_total"  # reason
METRIC_DURATION: Final = "modelmill_shadow_duration_seconds"  # histogram
TIMEOUT, UNREACHABLE, UNREADABLE = "timeout", "unreachable", "unreadable"
RESULTS: Final = ("2xx", "3xx", "4xx", "5xx", TIMEOUT, UNREACHABLE, UNREADABLE)


@dataclass(frozen=True, slots=True)
class Shadow:
    """One shadow. version, revision: whose answers are compared; they become labels of counters.

    sample_ratio: share of the answered requests that are mirrored, 0 to 1. A number of the shadow agrees with the live one
    when |shadow - live| <= absolute_tolerance + relative_tolerance * |live|.
    """

    version: str
    revision: str
    sample_ratio: float
    relative_tolerance: float
    absolute_tolerance: float


def encode(shadow: Shadow) -> str:
    """Return the JSON that `decode` reads."""
    told = {
        "v": SHADOW_VERSION,
        "version": shadow.version,
        "revision": shadow.revision,
        "sampleRatio": shadow.sample_ratio,
        "relativeTolerance": shadow.relative_tolerance,
        "absoluteTolerance": shadow.absolute_tolerance,
    }
    return json.dumps(told, sort_keys=True)


def decode(text: str | bytes) -> Shadow:
    """Return the shadow. Raises ValueError naming what is wrong."""
    raw: Any = json.loads(text)
    if not isinstance(raw, dict) or raw.get("v") != SHADOW_VERSION:
        raise ValueError(f"it is no shadow of version {SHADOW_VERSION}")
    return Shadow(
        _text(raw, "version"),
        _text(raw, "revision"),
        _number(raw, "sampleRatio", 1.0),
        _number(raw, "relativeTolerance", math.inf),
        _number(raw, "absoluteTolerance", math.inf),
    )


def _text(raw: dict[str, Any], name: str) -> str:
    value = raw.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise ValueError(f"{name} must be a text of at most {MAX_TEXT} characters")
    return value


def _number(raw: dict[str, Any], name: str, most: float) -> float:
    value = raw.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most or math.isinf(value):
        raise ValueError(f"{name} must be a number from 0" + (f" to {most:g}" if most < math.inf else ""))
    return float(value)
