"""Whether a result is good enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelmill.contracts.result import ChampionFacts
from modelmill.contracts.stage import Gate
from modelmill_trainer.failure import StageError, meant

# The champion is measured as it is served, mostly as ONNX in float32: the same model differs by this part of a metric.
ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate. text: one sentence with the fact against what was wanted."""

    passed: bool
    text: str


def judge(
    gates: Sequence[Gate], metrics: Mapping[str, float], champion: ChampionFacts | None, primary: str, direction: str
) -> list[Verdict]:
    """Return a verdict for each bound of each gate.

    Without a champion a comparison passes; with one that could not be scored it fails, since nothing says that the new
    version is better. Raises StageError (MetricInvalid) for a metric that there is not.
    """
    require_metrics(gates, metrics, primary)
    verdicts = []
    for gate in gates:
        if gate.metric is not None:
            value = metrics[gate.metric]
            if gate.minimum is not None:
                verdicts.append(_bound(gate.metric, value, ">=", "below", gate.minimum, value >= gate.minimum))
            if gate.maximum is not None:
                verdicts.append(_bound(gate.metric, value, "<=", "above", gate.maximum, value <= gate.maximum))
        elif gate.min_improvement is not None:
            verdicts.append(_compare(gate.min_improvement, metrics, champion, primary, direction))
    return verdicts


def require_metrics(gates: Sequence[Gate], metrics: Iterable[str], primary: str) -> None:
    """Raise StageError (MetricInvalid) naming each metric that is asked for and is not among those measured."""
    measured = list(metrics)
    wanted = {"evaluation.primary.metric": primary}
    wanted |= {f"evaluation.gates[{place}].metric": gate.metric for place, gate in enumerate(gates) if gate.metric}
    problems = [
        f"{field} is {name!r}, which is not measured; {meant(name, measured)}"
        for field, name in wanted.items()
        if name not in measured
    ]
    if problems:
        raise StageError("MetricInvalid", *problems)


def improvement(new: float, old: float, direction: str) -> float:
    """Return by how much `new` is better, in the metric's unit; negative when worse."""
    return new - old if direction == "Maximize" else old - new


def _bound(name: str, value: float, sign: str, wrong: str, bound: float, passed: bool) -> Verdict:
    return Verdict(passed, f"{name} {value:.4g} {sign if passed else f'is {wrong}'} {bound:g}")


def _compare(
    wanted: float, metrics: Mapping[str, float], champion: ChampionFacts | None, primary: str, direction: str
) -> Verdict:
    if champion is None:
        return Verdict(True, "there is no champion to compare with")
    if primary not in champion.metrics:
        why = champion.message or f"{primary} was not measured on it"
        return Verdict(
            False, f"the champion {champion.name} cannot be compared: {why}; approve by hand, or remove the gate"
        )
    mine = champion.challenger or metrics
    if primary not in mine:
        return Verdict(
            False, f"{primary} was not measured on the {champion.rows} rows of the comparison: approve by hand"
        )
    new, old = mine[primary], champion.metrics[primary]
    gain = improvement(new, old, direction)
    if abs(gain) <= ROUNDING * max(abs(new), abs(old)):
        gain = 0.0
    passed = gain >= wanted
    told = f"{abs(gain):.3g} {'better' if gain > 0 else 'worse'} than" if gain else "equal to"
    where = f" on {champion.rows} rows" if champion.rows else ""
    text = f"{primary} {new:.4g} is {told} {old:.4g} of the champion {champion.name}{where}"
    if wanted < 0:
        text += f"; allowed is up to {-wanted:g} worse"
    elif wanted or not passed:
        text += f"; wanted is {wanted:g} better or more"
    return Verdict(passed, text)
