"""The result of a stage: its container's termination message, JSON of at most 3,072 bytes.

`publish` and, in a trial, `score` leave one on every ending; `fetch`, the built-in `train` and `evaluate` leave one when they
fail.
A `fetch` that went well leaves the data that it found.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from modelmill.contracts.documents import read_fields, shown

RESULT_VERSION: Final = 1
CONTAINERS: Final = 4
"""Containers of a training pod, which share what the kubelet keeps of their messages."""
PREPARING: Final = 2
"""Containers that a prepare stage adds to such a pod."""
POD_BYTES: Final = 12 * 1024
MAX_BYTES: Final = POD_BYTES // CONTAINERS
"""Longest message. The kubelet keeps 12 KiB of a pod, in equal shares, and 4 KiB of a container at most (kubelet/container:
MaxPodTerminationMessageLogLength). A container that a cluster adds to the pod makes the shares smaller."""

PUBLISHED: Final = "Published"  # artifact stored, gates passed
GATE_FAILED: Final = "GateFailed"  # artifact stored, at least one gate failed
DATA_REJECTED: Final = "DataRejected"  # the data cannot be trained on: `reason` says why
SCORED: Final = "Scored"  # a trial: `metrics` were measured on its validation rows, nothing is stored
REPRODUCED: Final = "Reproduced"  # a version was made again and compared: `reproduction` says how, nothing is stored
IMPORTED: Final = "Imported"  # a foreign model was checked and stored: `artifact` and `signature` say as what
UNCHANGED: Final = "Unchanged"  # fetch found the data that StageSpec.unless_digest names: nothing was trained
FAILED: Final = "Failed"  # anything else: `reason` says why
# How many characters of each note, and of each reason and gate, are kept: the first pair that fits is taken.
LENGTHS: Final = (
    *((keep, MAX_BYTES) for keep in (MAX_BYTES, 500, 160, 60, 0)),
    *((0, keep) for keep in (500, 160, 60, 0)),
)
OUTCOMES: Final = frozenset({PUBLISHED, GATE_FAILED, DATA_REJECTED, IMPORTED, REPRODUCED, SCORED, UNCHANGED, FAILED})


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
    """The snapshot that was trained on. `digest` pins every object's bytes.

    holdout_rows: that were measured on; in a trial, those that validate, 0 with folds.
    copied: the store has a copy of the objects, by which the data can be brought back (contracts.snapshot).
    window: which part of the data these rows are, for people; empty for all.
    prepared: digest of the rows that a prepare stage made of the data; empty without one.
    script: digest of the script that was trained with; empty without one.
    """

    digest: str
    rows: int
    holdout_rows: int
    copied: bool = False
    window: str = ""
    prepared: str = ""
    script: str = ""


@dataclass(frozen=True, slots=True)
class ChampionFacts:
    """The champion on the hold-out rows that neither version has been trained on.

    metrics: empty when it could not be scored; then `message` says why.
    rows: how many rows it was scored on. challenger: the new version's metrics on the same rows; empty when those are the
        whole hold-out, so that `StageResult.metrics` are for the same rows.
    """

    name: str
    metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""
    rows: int = 0
    challenger: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A version beside the model that its recipe made again. same: the served model's file has the same bytes.

    metrics: the version's own, as its manifest has them; those of the new model are the result's.
    """

    version: str
    same: bool
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WarmStart:
    """What a run with a warm start began from: the version whose model was trained on, or the reason why it began anew."""

    version: str = ""
    reason: str = ""

    def told(self) -> str:
        """Return it in a sentence."""
        return f"trained on from {self.version}" if self.version else f"trained anew: {self.reason}"


@dataclass(frozen=True, slots=True)
class TrialResult:
    """How one of several trials that shared a pod ended: with metrics, the objective first, or with a reason why not.

    model: as `StageResult.model`.
    """

    index: int
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    message: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class StageResult:
    """How a stage ended.

    reason: one CamelCase word, e.g. StoreAuthFailed, BucketNotFound, DataEmpty, TargetMissing, EstimatorUnknown; empty when
        the outcome is Published.
    reasons: one sentence for each thing that failed, naming the field and the mend.
    metrics: finite numbers by name.
    gates: one sentence for each gate, "r2 0.91 >= 0.70".
    notes: sentences for people about a run that went well, "columns left out: signup (dates)".
    drift: what the data gates told about the data, one sentence for each gate.
    warm_start: what the training began from; None where it was to begin anew.
    signature: inputs and outputs of a model that was imported, for people.
    trials: those that shared the pod, where they were several; then the outcome is Scored, whatever became of each.
    model: sha256, in hex, of the model file that the built-in train stage left for a trial; empty with folds.
    """

    outcome: str
    reason: str = ""
    reasons: tuple[str, ...] = ()
    artifact: Artifact | None = None
    data: DataFacts | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    champion: ChampionFacts | None = None
    gates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    reproduction: Reproduction | None = None
    warm_start: WarmStart | None = None
    signature: str = ""
    trials: tuple[TrialResult, ...] = ()
    model: str = ""
    v: int = RESULT_VERSION


def share_of(containers: int) -> int:
    """Return how many bytes the message of each of so many containers of a pod may have."""
    return POD_BYTES // containers


def encode(result: StageResult, limit: int = MAX_BYTES) -> str:
    """Return the termination message, of at most `limit` bytes.

    Raises ResultError when a metric is not finite, or when the message is over the limit even without `notes` and with
    `reasons`, `gates` and `drift` shortened: those are for people and give way first. Of trials that shared a pod the first
    metric of each is told, more as there is room, its model where there is room, and nothing else of the result.
    """
    _require_all_finite(result)
    if result.trials:
        return _encoded_trials(result.trials)
    raw = {name: value for name, value in asdict(result).items() if value not in (None, "", (), {})}
    if result.champion is not None:
        raw["champion"] = {name: value for name, value in raw["champion"].items() if value not in ("", 0, {})}
    for kept_of_notes, kept in LENGTHS:
        for name, keep in (
            ("notes", kept_of_notes),
            ("drift", kept_of_notes or kept),
            ("reasons", kept),
            ("gates", kept),
        ):
            if name in raw:
                raw[name] = [shown(text, keep) for text in getattr(result, name)[:16]]
        if not kept_of_notes:
            raw.pop("notes", None)
        text = json.dumps(raw, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        if len(text.encode()) <= limit:
            return text
    raise ResultError(f"the result has {len(text.encode())} bytes, over the limit of {limit}: report fewer metrics")


def _encoded_trials(trials: Sequence[TrialResult]) -> str:
    most = max((len(one.metrics) for one in trials), default=1)
    text = ""
    shorter = [(1, 120), (1, 40), (1, 0)]
    for count, keep in (*((count, 256) for count in range(most, 0, -1)), *shorter, (0, 0)):
        told = tuple(
            replace(
                one,
                metrics=dict(list(one.metrics.items())[: count or 1]),
                message=shown(one.message, keep),
                model=one.model if count else "",
            )
            for one in trials
        )
        text = _text(told)
        if len(text.encode()) <= MAX_BYTES:
            return text
    raise ResultError(f"{len(trials)} trials take {len(text.encode())} bytes, over the limit of {MAX_BYTES}")


def _text(trials: Sequence[TrialResult]) -> str:
    filled = [{name: value for name, value in asdict(one).items() if value not in ("", {})} for one in trials]
    raw = {"v": RESULT_VERSION, "outcome": SCORED, "trials": filled}
    return json.dumps(raw, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def decode(text: str) -> StageResult:
    """Return the StageResult in a termination message. Raises ResultError when it is not a valid one."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        size = len(text.encode(errors="replace"))
        shares = {POD_BYTES // containers: containers for containers in range(CONTAINERS + 1, 17)}
        cut = f"; the kubelet has cut it: the pod has {shares[size]} containers" if size in shares else ""
        raise ResultError(f"the termination message is not JSON: {error}{cut}") from None
    if not isinstance(raw, dict) or raw.get("v") != RESULT_VERSION:
        raise ResultError(f"the termination message is not a result of version {RESULT_VERSION}")
    if not isinstance(raw.get("outcome"), str) or raw["outcome"] not in OUTCOMES:
        raise ResultError(f"outcome {raw.get('outcome')!r} is none of {', '.join(sorted(OUTCOMES))}")
    try:
        result = StageResult(
            outcome=raw["outcome"],
            reason=str(raw.get("reason", "")),
            reasons=tuple(str(text) for text in raw.get("reasons", ())),
            artifact=None if raw.get("artifact") is None else read_fields(Artifact, raw["artifact"]),
            data=None if raw.get("data") is None else read_fields(DataFacts, raw["data"]),
            metrics=_metrics(raw),
            champion=_champion(raw.get("champion")),
            gates=tuple(str(text) for text in raw.get("gates", ())),
            notes=tuple(str(text) for text in raw.get("notes", ())),
            drift=tuple(str(text) for text in raw.get("drift", ())),
            reproduction=_reproduction(raw.get("reproduction")),
            warm_start=_warm_start(raw.get("warm_start")),
            signature=str(raw.get("signature", "")),
            trials=tuple(_trial(one) for one in raw.get("trials", ())),
            model=str(raw.get("model", "")),
        )
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as error:
        raise ResultError(f"the termination message is malformed: {error}") from None
    _require_all_finite(result)
    if result.outcome in (PUBLISHED, GATE_FAILED) and (result.artifact is None or result.data is None):
        raise ResultError(f"outcome {result.outcome} needs artifact and data")
    if result.outcome == IMPORTED and result.artifact is None:
        raise ResultError(f"outcome {result.outcome} needs artifact")
    if result.outcome == REPRODUCED and (result.data is None or result.reproduction is None):
        raise ResultError(f"outcome {result.outcome} needs data and reproduction")
    if result.outcome == SCORED and not result.trials and (result.data is None or not result.metrics):
        raise ResultError(f"outcome {result.outcome} needs data and metrics")
    return result


def encode_data(facts: DataFacts) -> str:
    """Return the termination message of a fetch that went well: the data, whatever becomes of the run."""
    return json.dumps({"v": RESULT_VERSION, "data": asdict(facts)}, separators=(",", ":"))


def decode_data(text: str) -> DataFacts | None:
    """Return the data that a termination message of `encode_data` tells; None when it is another message."""
    try:
        raw = json.loads(text)
        return read_fields(DataFacts, raw["data"]) if raw["v"] == RESULT_VERSION else None
    except (ValueError, RecursionError, TypeError, KeyError):
        return None


def _champion(raw: Any) -> ChampionFacts | None:
    if raw is None:
        return None
    return ChampionFacts(
        name=str(raw["name"]),
        metrics=_metrics(raw),
        message=str(raw.get("message", "")),
        rows=int(raw.get("rows", 0)),
        challenger=_metrics(raw, "challenger"),
    )


def _reproduction(raw: Any) -> Reproduction | None:
    if raw is None:
        return None
    return Reproduction(str(raw["version"]), raw["same"] is True, _metrics(raw))


def _warm_start(raw: Any) -> WarmStart | None:
    if raw is None:
        return None
    return WarmStart(str(raw.get("version", "")), str(raw.get("reason", "")))


def _trial(raw: Any) -> TrialResult:
    words = [str(raw.get(name, "")) for name in ("reason", "message", "model")]
    return TrialResult(int(raw["index"]), _metrics(raw), *words)


def _metrics(raw: dict[str, Any], field_name: str = "metrics") -> dict[str, float]:
    return {str(name): float(value) for name, value in raw.get(field_name, {}).items()}


def _require_all_finite(result: StageResult) -> None:
    _require_finite(result.metrics, "metrics")
    for one in result.trials:
        _require_finite(one.metrics, f"trials.{one.index}")
    if result.reproduction is not None:
        _require_finite(result.reproduction.metrics, "reproduction.metrics")
    if result.champion is not None:
        _require_finite(result.champion.metrics, "champion.metrics")
        _require_finite(result.champion.challenger, "champion.challenger")


def _require_finite(metrics: dict[str, float], where: str) -> None:
    for name, value in metrics.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            raise ResultError(f"{where}.{name} is {value!r}: a metric must be a finite number")
