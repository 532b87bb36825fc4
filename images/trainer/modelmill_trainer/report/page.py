"""The page: the verdict first, then what it rests on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sklearn.metrics import confusion_matrix, roc_curve

from modelmill.contracts.artifact import Profile, Signature
from modelmill_trainer.gates import improvement
from modelmill_trainer.measured import Measured
from modelmill_trainer.metrics import LESS_IS_BETTER
from modelmill_trainer.models import CLASSIFICATION, PREDICT, PROBABILITIES
from modelmill_trainer.report import figures

TEMPLATE = "report.html.j2"
MAX_OBJECTS = 20
MAX_FEATURES = 100


def render(measured: Measured, signature: Signature, profile: Profile, lineage: dict[str, str], form: str) -> str:
    """Return the HTML page: no script, nothing from elsewhere."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["number"] = _number
    importance = {name: item.importance for name, item in profile.features.items()}
    ordered = dict(sorted(importance.items(), key=lambda item: (-item[1], item[0])))
    quality = _classes(measured) if measured.model.task == CLASSIFICATION else _residuals(measured)
    return environment.get_template(
        TEMPLATE
    ).render(
        spec=measured.spec,
        facts=measured.facts,
        objects=[*measured.facts.objects, *measured.facts.holdout_objects],
        max_objects=MAX_OBJECTS,
        notes=measured.notes,
        passed=measured.passed,
        verdicts=measured.verdicts,
        champion=measured.champion,
        metrics=_metric_rows(measured),
        primary=measured.primary,
        task=measured.model.task,
        quality=quality,
        importance=ordered,
        importance_plot=Markup(figures.importance(ordered)),  # noqa: S704 - matplotlib escapes its text
        features=[(tensor, profile.features[tensor.name]) for tensor in signature.inputs][:MAX_FEATURES],
        outputs=signature.outputs,
        lineage=lineage,
        form=form,
    )


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


def _residuals(measured: Measured) -> dict[str, Any]:
    actual = measured.target.astype("float64")
    predicted = measured.outputs[PREDICT].astype("float64")
    gap = predicted - actual
    shares = (0, 5, 25, 50, 75, 95, 100)
    return {
        "plots": [Markup(figures.predicted_against_actual(actual, predicted))],  # noqa: S704
        "caption": "Residuals (predicted - actual) on the hold-out",
        "head": ["percentile", *(f"{share}%" for share in shares)],
        "rows": [["residual", *(_number(value) for value in np.percentile(gap, shares))]],
    }


def _classes(measured: Measured) -> dict[str, Any]:
    labels = [str(label) for label in measured.model.classes]
    truth = [str(value) for value in measured.target.tolist()]
    guess = [str(value) for value in measured.outputs[PREDICT].tolist()]
    counts = {label: truth.count(label) for label in sorted(set(labels) | set(truth))}
    shown = sorted(counts, key=lambda label: (-counts[label], label))[: figures.MAX_CLASSES]
    matrix = confusion_matrix(truth, guess, labels=shown)
    plots = [Markup(figures.confusion(matrix, shown))]  # noqa: S704
    if "roc_auc" in measured.metrics:
        truth_ones = np.array([value == labels[1] for value in truth])
        false_positive, true_positive, _ = roc_curve(truth_ones, measured.outputs[PROBABILITIES][:, 1])
        plots.append(Markup(figures.roc(false_positive, true_positive, measured.metrics["roc_auc"])))  # noqa: S704
    more = f"; the {len(shown)} most frequent of {len(counts)} classes" if len(counts) > len(shown) else ""
    return {
        "plots": plots,
        "caption": f"Rows of the hold-out by actual class (down) and predicted class (across){more}",
        "head": ["actual", *shown],
        "rows": [[label, *(str(count) for count in row)] for label, row in zip(shown, matrix.tolist(), strict=True)],
    }


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
