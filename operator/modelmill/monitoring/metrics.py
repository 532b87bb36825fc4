"""The metrics of labels that came: what the status tells beside the error that is judged. Pure."""

from __future__ import annotations

from modelmill.contracts import counts as c
from modelmill.contracts.counts import Counts
from modelmill.contracts.names import BIN_OTHER


def metrics_of(counts: Counts) -> dict[str, float]:
    """Return the metrics of the labels of a window: of a classifier, or of a regression."""
    scored = counts.get((c.LABEL, "scored"), 0.0)
    if scored:
        squared = counts.get((c.ERROR, "squared"), 0.0)
        return {"mae": counts.get((c.ERROR, "absolute"), 0.0) / scored, "rmse": (squared / scored) ** 0.5}
    right, wrong = counts.get((c.LABEL, "correct"), 0.0), counts.get((c.LABEL, "wrong"), 0.0)
    found = {"accuracy": right / (right + wrong)} if right + wrong else {}
    return {**found, **_of_cells(counts), **_calibration(counts)}


def _of_cells(counts: Counts) -> dict[str, float]:
    """Return macro F1 and the balanced error of the confusion matrix, over the named classes that were a label.

    What is none of them is wrong, and no class of its own: a single misspelt label would weigh as much as a whole class.
    """
    cells = {key[1:]: value for key, value in counts.items() if key[0] == c.CELL and value}
    actual = sorted({truth for _, truth in cells} - {BIN_OTHER})
    if not actual:
        return {}
    scores, recalls = [], []
    for name in actual:
        hit = cells.get((name, name), 0.0)
        of_class = sum(value for (_, truth), value in cells.items() if truth == name)
        said = sum(value for (guess, _), value in cells.items() if guess == name)
        recalls.append(hit / of_class)
        scores.append(2 * hit / (of_class + said))
    return {"f1": sum(scores) / len(scores), "balanced_error": 1 - sum(recalls) / len(recalls)}


def _calibration(counts: Counts) -> dict[str, float]:
    """Return the expected calibration error over ten bins of the predicted class's probability (Guo et al. 2017, eq. 3).

    The probability of a bin is taken to be its middle.
    """
    bins: dict[str, dict[str, float]] = {}
    for key, value in counts.items():
        if key[0] == c.CONFIDENCE and len(key) == 3 and key[1].isdecimal():
            bins.setdefault(key[1], {})[key[2]] = value
    total = sum(sum(one.values()) for one in bins.values())
    if not total:
        return {}
    gaps = (abs(one.get("correct", 0.0) - (int(name) + 0.5) / 10 * sum(one.values())) for name, one in bins.items())
    return {"calibration_error": sum(gaps) / total}
