"""Whether a probability of 0.8 comes true eight times in ten."""

from __future__ import annotations

import math

import numpy as np

from modelmill_trainer.report.chart import BLUE, Axis, Chart, Figure
from modelmill_trainer.report.svg import GREY

BINS = 10
ROWS_A_BIN = 10
_Z = 1.96


def calibration(chances: np.ndarray, came_true: np.ndarray, of: str) -> Figure:
    """Return a reliability diagram with intervals of 95 %.

    chances: [rows], the probability that was given; came_true: [rows], whether it was so; of: what it is the probability of.
    The bins have about equally many rows. The calibration error is the mean distance from the diagonal, weighted by rows (ECE).
    Sources: Guo et al. 2017, "On Calibration of Modern Neural Networks"; Wilson 1927 for the intervals.
    """
    most = max(1, min(BINS, len(chances) // ROWS_A_BIN))
    # Equal probabilities, of which trees give many, stay together.
    number = np.searchsorted(np.sort(chances), chances, side="left") * most // len(chances)
    bins = [np.flatnonzero(number == one) for one in np.unique(number)]
    means = [float(chances[part].mean()) for part in bins]
    shares = [float(came_true[part].mean()) for part in bins]
    gaps = [len(part) * abs(mean - share) for part, mean, share in zip(bins, means, shares, strict=True)]
    error = sum(gaps) / len(chances)
    counted = f"{len(bins)} bins of {len(chances)} rows" if len(bins) > 1 else f"One bin of {len(chances)} rows"
    chart = Chart(
        f"Calibration, error {error:.3f}",
        f"How often it is so, against the probability of {of}; on the line when the probabilities are true. {counted}, with "
        "intervals of 95 %.",
        Axis(f"mean probability of {of}"), Axis("share that it is so"),
    )  # fmt: skip
    chart.line([(0.0, 0.0), (1.0, 1.0)], GREY, 1)
    ends = [wilson(share, len(part)) for share, part in zip(shares, bins, strict=True)]
    for mean, (low, high) in zip(means, ends, strict=True):
        chart.line([(mean, low), (mean, high)], BLUE, 1)
    points = list(zip(means, shares, strict=True))
    chart.line(points, BLUE, 1.5)
    chart.dots(points, BLUE, 3.5)
    rows = [
        [str(number), str(len(part)), f"{mean:.3f}", f"{share:.3f}", f"{low:.3f} to {high:.3f}"]
        for number, (part, mean, share, (low, high)) in enumerate(zip(bins, means, shares, ends, strict=True), start=1)
    ]
    return chart.figure(["bin", "rows", "mean probability", "share", "interval"], rows)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return the interval of 95 % of a share that was seen in `count` rows."""
    middle = (share + _Z * _Z / (2 * count)) / (1 + _Z * _Z / count)
    half = _Z / (1 + _Z * _Z / count) * math.sqrt(share * (1 - share) / count + _Z * _Z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)
