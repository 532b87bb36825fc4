"""Compares TPE with random search on scikit-learn's digits: 40 trials, 4 at a time, by the operator's own suggestions.

Each trial is a support vector machine, scored by the accuracy of 3 folds of 900 of the 1,797 digits; of the 4 that run the one
ends first that began first. No cluster and no pods. Prints the best accuracy of each seed and the medians, and returns
1 unless TPE's median is above. Takes about a minute of one core.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from sklearn.datasets import load_digits  # noqa: E402 - after the path
from sklearn.model_selection import KFold, cross_val_score  # noqa: E402 - after the path
from sklearn.svm import SVC  # noqa: E402 - after the path

from modelmill.tuning.ledger import Entry  # noqa: E402 - after the path
from modelmill.tuning.space import Axis  # noqa: E402 - after the path
from modelmill.tuning.suggest import Search, suggest  # noqa: E402 - after the path

ROWS = 900
FOLDS = 3
SPACE = (
    Axis("kernel", choices=("rbf", "poly", "sigmoid")),
    Axis("C", 1e-4, 1e4, log=True),
    Axis("gamma", 1e-8, 1e2, log=True),
    Axis("tol", 1e-5, 1e-1, log=True),
    Axis("degree", 2, 5, step=1, when=("kernel", "poly")),
    Axis("coef0", -1.0, 1.0, when=("kernel", "poly")),
)


@cache
def accuracy(values: tuple[tuple[str, str], ...]) -> float:
    """Return the mean accuracy over the folds. max_iter: where a choice does not converge, so that no trial takes for ever."""
    given = dict(values)
    numbers = {name: float(given[name]) for name in ("C", "gamma", "tol", "coef0") if name in given}
    model = SVC(kernel=given["kernel"], degree=int(given.get("degree", 3)), max_iter=20_000, **numbers)
    features, target = load_digits(return_X_y=True)
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    return float(cross_val_score(model, features[:ROWS], target[:ROWS], cv=folds).mean())


def best(algorithm: str, seed: int, trials: int, parallel: int) -> float:
    """Return the best accuracy of a search in which a trial begins as soon as the oldest one ends."""
    search = Search(SPACE, algorithm, seed, "Maximize")
    entries: list[Entry] = []
    ended = 0
    while ended < trials:
        room = min(parallel - (len(entries) - ended), trials - len(entries))
        entries += [Entry(len(entries) + place, one) for place, one in enumerate(suggest(search, entries, room))]
        value = accuracy(_key(entries[ended].parameters))
        entries[ended] = Entry(ended, entries[ended].parameters, state="Succeeded", value=value)
        ended += 1
    return max(one.value or 0.0 for one in entries)


def _key(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(values.items()))


def main() -> int:
    """Run the searches; return 1 unless the median of TPE is above that of random search."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--parallel", type=int, default=4)
    options = parser.parse_args()
    medians = {}
    for algorithm in ("TPE", "Random"):
        found = [best(algorithm, seed, options.trials, options.parallel) for seed in range(options.seeds)]
        medians[algorithm] = statistics.median(found)
        values = ", ".join(f"{one:.4f}" for one in found)
        print(f"{algorithm}: median {medians[algorithm]:.4f} of {values}", flush=True)
    return 0 if medians["TPE"] > medians["Random"] else 1


if __name__ == "__main__":
    sys.exit(main())
