"""The result of a stage: its container's termination message, JSON of at most 4,096 bytes.

`publish` leaves one on every ending; `fetch` and the built-in `train` leave one when they fail.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Final

RESULT_VERSION: Final = 1
MAX_BYTES: Final = 4096  # the kubelet cuts longer messages, kubelet/container API: terminationMessagePath

PUBLISHED: Final = "Published"  # artifact stored, gates passed
GATE_FAILED: Final = "GateFailed"  # artifact stored, at least one gate failed
DATA_REJECTED: Final = "DataRejected"  # the data cannot be trained on: `reason` says why
FAILED: Final = "Failed"  # anything else: `reason` says why
OUTCOMES: Final = frozenset({PUBLISHED, GATE_FAILED, DATA_REJECTED, FAILED})


class ResultError(ValueError):
    """A result that cannot be written or is not valid; the text says which field and why."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What was published. `digest` is `sha256:` + the SHA-256 of manifest.json in hex; `bytes` the size of all files."""

    uri: str
    digest: str
    bytes: int
    format: str


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The snapshot that was trained on. `digest` pins every object's bytes."""

    digest: str
    rows: int
    holdout_rows: int


@dataclass(frozen=True, slots=True)
class ChampionFacts:
    """The champion on this run's hold-out. `metrics` is empty when it could not be scored; then `message` says why."""

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended.

    reason: one CamelCase word, e.g. StoreAuthFailed, BucketNotFound, DataEmpty, TargetMissing, EstimatorUnknown; empty when
        the outcome is Published.
    reasons: one sentence for each thing that failed, naming the field and the mend.
    metrics: finite numbers by name.
    gates: one sentence for each gate, "r2 0.91 >= 0.70".
    """

    outcome: str
    reason: str = ""
    reasons: tuple[str, ...] = ()
    artifact: Artifact | None = None
    data: DataFacts | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    champion: ChampionFacts | None = None
    gates: tuple[str, ...] = ()
    v: int = RESULT_VERSION


def encode(result: StageResult) -> str:
    """Return the termination message.

    Raises ResultError when a metric is not finite, or when the message is over the limit even with `reasons` and `gates`
    shortened: those are for people and give way first.
    """
    _require_finite(result.metrics, "metrics")
    if result.champion is not None:
        _require_finite(result.champion.metrics, "champion.metrics")
    raw = {name: value for name, value in asdict(result).items() if value not in (None, "", (), {})}
    for keep in (10_000, 500, 160, 60, 0):
        for name in ("reasons", "gates"):
            if name in raw:
                raw[name] = [text if len(text) <= keep else text[:keep] + "…" for text in getattr(result, name)][:16]
        text = json.dumps(raw, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        if len(text.encode()) <= MAX_BYTES:
            return text
    raise ResultError(f"the result has {len(text.encode())} bytes, over the limit of {MAX_BYTES}: report fewer metrics")


def decode(text: str) -> StageResult:
    """Return the StageResult in a termination message. Raises ResultError when it is not a valid one."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ResultError(f"the termination message is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("v") != RESULT_VERSION:
        raise ResultError(f"the termination message is not a result of version {RESULT_VERSION}")
    if raw.get("outcome") not in OUTCOMES:
        raise ResultError(f"outcome {raw.get('outcome')!r} is none of {', '.join(sorted(OUTCOMES))}")
    try:
        result = StageResult(
            outcome=raw["outcome"],
            reason=str(raw.get("reason", "")),
            reasons=tuple(str(text) for text in raw.get("reasons", ())),
            artifact=_known(Artifact, raw.get("artifact")),
            data=_known(DataFacts, raw.get("data")),
            metrics={str(name): float(value) for name, value in raw.get("metrics", {}).items()},
            champion=_known(ChampionFacts, raw.get("champion")),
            gates=tuple(str(text) for text in raw.get("gates", ())),
        )
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ResultError(f"the termination message is malformed: {error}") from None
    _require_finite(result.metrics, "metrics")
    if result.outcome in (PUBLISHED, GATE_FAILED) and (result.artifact is None or result.data is None):
        raise ResultError(f"outcome {result.outcome} needs artifact and data")
    return result


def _known(cls: type[Any], raw: Any) -> Any:
    if raw is None:
        return None
    return cls(**{name: raw[name] for name in cls.__dataclass_fields__ if name in raw})


def _require_finite(metrics: dict[str, float], where: str) -> None:
    for name, value in metrics.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ResultError(f"{where}.{name} is {value!r}: a metric must be a finite number")
