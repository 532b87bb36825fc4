"""From what was counted to what fires: the conditions of the definition, how long each has held, and the alerts. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from modelmill.api.base import Alert
from modelmill.api.fingerprint import short_hash
from modelmill.api.monitoring import (
    DATA_QUALITY,
    DRIFT,
    EMBEDDED_PREFIX,
    ERRORS,
    QUALITY,
    SKEW,
    STALENESS,
    Monitoring,
)
from modelmill.contracts import verdict as v
from modelmill.contracts.counts import DRIFT_RING, ERRORS_RING, QUALITY_RING, SLOTS, History, Ring
from modelmill.kube.conditions import timestamp
from modelmill.kube.texts import fitted

ERRORS_SECONDS: Final = 300.0
MAX_PROBLEMS: Final = 10
MAX_SINCE: Final = 1000
LATEST: Final = 4e9

Since = Mapping[str, float]
"""When something began to hold, Unix time, by what it is: a kind, for DataQuality with feature and problem."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered beside the counts of a revision.

    fine: whether it was ever judged and had not drifted. problem: when there was last something wrong with the data, Unix time.
    alerted: when an alert last said so. since: what holds now.
    """

    fine: bool = False
    problem: float | None = None
    alerted: float | None = None
    since: Since = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"fine": self.fine, "problem": self.problem, "alerted": self.alerted, "since": dict(self.since)}


def memory_of(raw: Mapping[str, Any]) -> Memory:
    """Return what a document of `Memory.document` holds; of anything else an empty one."""
    since = raw.get("since")
    if not isinstance(since, dict) or len(since) > MAX_SINCE or not all(map(_is_time, since.values())):
        return Memory()
    problem, alerted = (raw[name] if _is_time(raw.get(name)) else None for name in ("problem", "alerted"))
    return Memory(raw.get("fine") is True, problem, alerted, since)


def _is_time(raw: Any) -> bool:
    """Tell whether it is a Unix time of this century; NaN is none."""
    return type(raw) in (int, float) and 0 <= raw <= LATEST


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that holds. since: Unix time. lasting: how long it must hold to fire, s."""

    kind: str
    since: float
    lasting: float
    message: str
    feature: str = ""
    value: str = ""

    @property
    def fires_at(self) -> float:
        """When it fires if it lasts, Unix time."""
        return self.since + self.lasting


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What the counts say at a moment, and the memory after it. undecided: kinds of which nothing can be said.

    judged_from, quality_from: until when drift and quality are not judged, Unix time, for something wrong with the data; None
    when they are.
    """

    verdict: v.Verdict
    quality: v.Quality
    memory: Memory
    findings: Sequence[Finding]
    undecided: frozenset[str]
    judged_from: float | None = None
    quality_from: float | None = None


def rings_of(monitoring: Monitoring) -> dict[str, Ring]:
    """Return the empty rings of a service."""
    return {
        DRIFT_RING: Ring(monitoring.drift.window_seconds / SLOTS),
        QUALITY_RING: Ring(monitoring.quality.window_seconds / SLOTS),
        ERRORS_RING: Ring(ERRORS_SECONDS / SLOTS),
    }


def evaluate(
    monitoring: Monitoring, history: History, holdout: v.Holdout | None, memory: Memory, moment: float
) -> Evaluation:
    """Return what holds at a moment, Unix time."""
    drift = monitoring.drift
    limits = v.Limits(float(drift.psi_threshold), float(drift.min_share), drift.min_rows)
    found = v.judge(history.reference, history.rings[DRIFT_RING].total(moment), limits)
    labels = history.rings[QUALITY_RING].total(moment)
    maximum = monitoring.quality.maximum
    quality = v.quality(labels, holdout, float(maximum) if maximum is not None else None, monitoring.quality.min_labels)
    problem = moment if found.problems else memory.problem
    judged_from = _over(problem, drift.window_seconds, moment)
    disturbed = judged_from is not None
    since_problem = {_of_problem(one): memory.since.get(_of_problem(one), moment) for one in found.problems}
    lasting = monitoring.lasting_seconds(DATA_QUALITY)
    alerted = moment if any(one + lasting <= moment for one in since_problem.values()) else memory.alerted
    # Labels of what was predicted from wrong data are in the window of labels, which is longer.
    quality_from = max(
        filter(None, (judged_from, _over(alerted, monitoring.quality.window_seconds, moment))), default=None
    )
    drifted = None if found.drifted is None else found.drifted and not disturbed
    # A window that is disturbed proves nothing, neither that all was fine.
    fine = memory.fine or (found.drifted is False and not disturbed)
    failing = v.failing(history.rings[ERRORS_RING].total(moment))
    trained = history.reference.trained
    staleness = monitoring.staleness
    stale = None if staleness is None or trained is None else moment - trained > staleness.max_age_seconds
    holds: dict[str, bool | None] = {
        DRIFT: None if drifted is None else drifted and fine,
        SKEW: None if drifted is None else drifted and not fine,
        QUALITY: None if quality.worse is None else quality.worse and quality_from is None,
        ERRORS: failing,
        STALENESS: stale,
    }
    every = {kind: held for kind, held in holds.items() if held}
    every |= {_of_problem(one): True for one in found.problems}
    since = {what: min(memory.since.get(what, moment), moment) for what in every}
    after = Memory(fine, problem, alerted, since)
    findings = _findings(monitoring, history, found, quality, since)
    undecided = {kind for kind, held in holds.items() if held is None}
    if not found.rows:
        undecided.add(DATA_QUALITY)
    return Evaluation(found, quality, after, findings, frozenset(undecided), judged_from, quality_from)


def _over(last: float | None, window: float, moment: float) -> float | None:
    """Return when a window is free of what was there last; None when it is.

    A clock may have been set back, and a memory forged: what is to come disturbs nothing.
    """
    return last + window if last is not None and 0 <= moment - last <= window else None


def alerts_of(
    uid: str, version: str, found: Evaluation, before: Sequence[Alert], moment: float, served: float = 0.0
) -> list[Alert]:
    """Return the alerts that fire, of which those that fired before are as they were.

    One that fired goes on while its condition holds, and while nothing can be said, as at night without requests: what fires
    anew is another episode, and an episode may start a run. uid: of the service. served: since when the revision serves,
    Unix time: pods may be read before that is recorded, and no alert is older.
    """
    firing = {
        _identity(alert): alert for alert in before if alert.id.startswith(EMBEDDED_PREFIX) and alert.version == version
    }
    kept = {what: alert for what, alert in firing.items() if alert.kind in found.undecided}
    for one in found.findings:
        what = (one.kind, one.feature, one.value) if one.kind == DATA_QUALITY else (one.kind, "", "")
        if what in firing:
            kept[what] = firing[what]
        elif moment >= one.fires_at:
            kept[what] = _alert(uid, version, one, served)
    return list(kept.values())


def _alert(uid: str, version: str, found: Finding, served: float) -> Alert:
    of_data = (found.feature, found.value) if found.kind == DATA_QUALITY else ()
    identity = short_hash(uid, version, found.kind, *of_data, found.since)
    return Alert(
        id=f"{EMBEDDED_PREFIX}{identity}",
        kind=found.kind,
        name=f"Modelmill{found.kind}",
        starts_at=timestamp(datetime.fromtimestamp(max(found.since, served), UTC)),
        feature=fitted(found.feature, 128) or None,
        version=version,
        value=found.value or None,
        message=fitted(found.message, 1024),
    )


def _identity(alert: Alert) -> tuple[str, str, str]:
    return (alert.kind, alert.feature or "", alert.value or "") if alert.kind == DATA_QUALITY else (alert.kind, "", "")


def _of_problem(problem: v.Problem) -> str:
    return f"{DATA_QUALITY}/{problem.kind}/{problem.feature}"


def _findings(
    monitoring: Monitoring, history: History, found: v.Verdict, quality: v.Quality, since: Since
) -> list[Finding]:
    """Return what holds, in words."""
    version = history.version
    words = {
        DRIFT: f"what is asked has drifted from the training data of {version}",
        SKEW: f"what is asked was never like the training data since {version} serves: compare how both are prepared, "
        "and whether old rows prevail in training (spec.data.window)",
        QUALITY: f"predictions of {version} are worse than on its hold-out",
        ERRORS: f"more than {v.ERROR_MOST:.0%} of the answers are errors of the server",
        STALENESS: f"{version} is older than spec.monitoring.staleness.maxAgeSeconds",
    }
    findings = [
        Finding(kind, since[kind], monitoring.lasting_seconds(kind), text)
        for kind, text in words.items()
        if kind in since
    ]
    findings = [_with_value(one, found, quality) for one in findings]
    for problem in found.problems[:MAX_PROBLEMS]:
        text = f"{problem.feature}: {problem.message}"
        findings.append(
            Finding(
                DATA_QUALITY,
                since[_of_problem(problem)],
                monitoring.lasting_seconds(DATA_QUALITY),
                text,
                problem.feature,
                problem.kind,
            )
        )
    return findings


def _with_value(one: Finding, found: v.Verdict, quality: v.Quality) -> Finding:
    worst = found.worst
    if one.kind in (DRIFT, SKEW) and worst is not None:
        value = f"{worst.index:.3g}"
        text = f"{one.message}: PSI of {worst.name} is {value}, {found.share:.0%} of the importance has shifted"
        return replace(one, feature=worst.name, value=value, message=text)
    if one.kind == QUALITY and quality.error is not None and quality.limit is not None:
        value = f"{quality.error:.4g}"
        text = f"{one.message}: error {value} over {quality.labels:.0f} labels, limit {quality.limit:.4g}"
        return replace(one, value=value, message=text)
    return one
