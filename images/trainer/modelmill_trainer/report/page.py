"""The page: the verdict first, then what it rests on."""

from __future__ import annotations

from typing import Any

from modelmill.contracts.artifact import Profile, Signature
from modelmill.contracts.metrics import LESS_IS_BETTER
from modelmill.contracts.stage import Search
from modelmill_trainer.gates import improvement
from modelmill_trainer.interpretation import PAIRS, Interpretation
from modelmill_trainer.measured import Measured
from modelmill_trainer.model_document import CLASSIFICATION
from modelmill_trainer.models import PREDICT, PROBABILITIES
from modelmill_trainer.report import figures, search
from modelmill_trainer.report.columns import left_out, reference
from modelmill_trainer.report.environment import page_environment
from modelmill_trainer.report.interpretation import dependences, explained
from modelmill_trainer.report.quality import Quality, of_classes, of_regression
from modelmill_trainer.standard_error import standard_error

TEMPLATE = "report.html.j2"
MAX_OBJECTS = 20
MAX_FEATURES = 100


def render(
    measured: Measured, signature: Signature, profile: Profile, importance: dict[str, float], found: Interpretation,
    lineage: dict[str, str], form: str,
) -> str:  # fmt: skip
    """Return the HTML page: no script, nothing from elsewhere, under `environment.MAX_BYTES` whatever the data is called.

    importance: by feature, those that were tried, the most important first.
    """
    environment = page_environment()
    facts = measured.facts
    score = "accuracy" if measured.model.task == CLASSIFICATION else "explained share of the variance"
    return environment.get_template(TEMPLATE).render(
        spec=measured.spec,
        facts=facts,
        objects=[*facts.objects, *facts.holdout_objects],
        max_objects=MAX_OBJECTS,
        conclusion=_conclusion(measured),
        verdicts=measured.verdicts,
        champion=measured.champion,
        metrics=_metric_rows(measured),
        primary=measured.primary,
        task=measured.model.task,
        quality=_quality(measured),
        importance=figures.importance(importance, score),
        untried=len(measured.model.features) - len(importance),
        dependences=dependences(found, facts.target),
        explained=explained(found, facts.target),
        search=_search(measured, measured.spec.search) if measured.spec.search is not None else None,
        missing=found.missing.removesuffix("."),
        orders=2 * PAIRS,
        features=[
            (tensor, profile.features[tensor.name], reference(tensor, profile.features[tensor.name]))
            for tensor in signature.inputs
        ],
        max_features=MAX_FEATURES,
        left_out=left_out(facts, measured.model.features, measured.left_out),
        notes=measured.notes,
        lineage=lineage,
        form=form,
    )


def _conclusion(measured: Measured) -> tuple[str, str]:
    """Return (style, sentences)."""
    style, text = _judgement(measured)
    told = len(measured.facts.drift)
    if not told:
        return style, text
    # What the data gates only tell has stopped nothing, and is no word of praise either.
    style = "neutral" if style == "good" else style
    return style, f"{text} The data gates tell of {told} thing{'s' if told > 1 else ''} about its data: see below."


def _judgement(measured: Measured) -> tuple[str, str]:
    if not measured.verdicts:
        return "neutral", "No gate is defined, so nothing was asked of this version."
    if measured.passed:
        return "good", "Every gate passed."
    return "bad", "At least one gate failed: this version is kept, and served only where a person approves it."


def _metric_rows(measured: Measured) -> list[dict[str, Any]]:
    theirs = measured.champion.metrics if measured.champion is not None else {}
    ours = (measured.champion.challenger if measured.champion is not None else {}) or measured.metrics
    rows = []
    for name, value in measured.metrics.items():
        old = theirs.get(name)
        if name == measured.primary:
            direction = measured.direction
        else:
            direction = "Minimize" if name in LESS_IS_BETTER else "Maximize"
        gain = improvement(ours[name], old, direction) if old is not None and name in ours else None
        rows.append({"name": name, "value": value, "champion": old, "gain": gain})
    return rows


def _quality(measured: Measured) -> Quality:
    outputs = measured.outputs
    if measured.model.task != CLASSIFICATION:
        return of_regression(measured.target, outputs[PREDICT], measured.facts.target)
    return of_classes(
        measured.model.classes,
        measured.target,
        outputs[PREDICT],
        outputs.get(PROBABILITIES),
        measured.metrics.get("roc_auc"),
    )


def _search(measured: Measured, told: Search) -> search.Found:
    error = standard_error(
        told.objective_metric, measured.model.task, measured.target, measured.outputs, measured.model.classes
    )
    return search.found(told, measured.trials, measured.metrics, error, measured.published)
