"""Writes docs/reference/verdicts.md: every story on every data set, seed by seed. Run by `make proof-monitoring`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import Life, Outcome, problems
from tests.verdicts.stories import STORIES, Story

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/verdicts.md"
HEAD = """# What the loop does with real data

Each story is played on public data with {seeds} seeds, with every threshold of `spec.monitoring`, `spec.triggers.alerts` and
`spec.retrain` at its default, by the operator's own code: the counters of the server, the embedded engine, the plan of the
TrainingJob. The clock is told, and a random forest is trained for true; what beats the champion by 5 % of its error and is
better than a constant serves. Runs train on the newest 1,000 rows (`spec.data.window`; *long swing*: on all). 1,000 rows come
in an hour, and each hour the labelled rows go to the store. The change begins after three hours. `make proof-monitoring`
writes this page; that Prometheus' rules say the same of the same counters is tested on generated histories
(tests/unit/monitoring/test_engines_agree.py).

Data: {data}.

*Right* counts the lives in which there were as many runs as a careful person would make, no alert of a kind that is wrong
there, none missed, and, after a real change, a smaller error than before. *Delay* is from the change to the first alert, in
rows, the median. *Error* is that of the last version on changed rows by that of the first one, the median.

| Story | Data | Right | Runs | Alerts (lives with it) | Delay, rows | Error |
|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Played:
    """One life."""

    story: str
    data: str
    seed: int
    outcome: Outcome
    problems: list[str]


def play(case: tuple[int, str, int]) -> Played:
    """Play one life. case: place of the story, data set, seed."""
    place, name, seed = case
    story = STORIES[place]
    outcome = Life(DATASETS[name](), story, seed).play()
    return Played(story.name, name, seed, outcome, problems(story, outcome))


def rows(played: Sequence[Played]) -> Iterator[str]:
    """Yield the rows of the table."""
    for story in STORIES:
        for name in DATASETS:
            yield _row(story, name, [one for one in played if (one.story, one.data) == (story.name, name)])


def _row(story: Story, name: str, lives: Sequence[Played]) -> str:
    right = sum(not one.problems for one in lives)
    runs = Counter(sum(reason == "Alert" for _, reason in one.outcome.runs) for one in lives)
    kinds = Counter(kind for one in lives for kind in {kind for kind, _, _ in one.outcome.told})
    delays = [one.outcome.told[0][2] for one in lives if one.outcome.told]
    errors = [one.outcome.after / one.outcome.changed for one in lives if story.better and one.outcome.changed]
    cells = [
        story.name,
        name,
        f"{right}/{len(lives)}",
        ", ".join(f"{count} x{times}" if len(runs) > 1 else str(count) for count, times in sorted(runs.items())),
        ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "-",
        f"{median(delays):,.0f}" if delays else "-",
        f"{median(errors):.2f}" if errors else "-",
    ]
    return f"| {' | '.join(cells)} |"


def main(seeds: int) -> int:
    """Play all lives and write the page; return 0 when nothing was wrong."""
    cases = [(place, name, seed) for seed in range(seeds) for place in range(len(STORIES)) for name in DATASETS]
    played = []
    with ProcessPoolExecutor(2) as pool:
        for done, one in enumerate(pool.map(play, cases), 1):
            played.append(one)
            if one.problems:
                print(f"{one.story}, {one.data}, seed {one.seed}: {'; '.join(one.problems)}", flush=True)
            if done % (len(STORIES) * len(DATASETS)) == 0:
                print(f"{one.seed + 1} of {seeds} seeds", flush=True)
                write(played, one.seed + 1)
    wrong = sum(bool(one.problems) for one in played)
    print(f"{len(played) - wrong} of {len(played)} lives as a careful person would have it: {PAGE.name}")
    return 1 if wrong else 0


def write(played: Sequence[Played], seeds: int) -> None:
    """Write the page of so many seeds."""
    words = "; ".join(
        f"{name}: {' '.join((make.__doc__ or '').split()).rstrip('.')}" for name, make in DATASETS.items()
    )
    wrong = [one for one in played if one.problems]
    told = "".join(f"- {one.story}, {one.data}, seed {one.seed}: {'; '.join(one.problems)}\n" for one in wrong)
    tail = f"\nLives that went otherwise:\n\n{told}" if wrong else "\nNo life went otherwise.\n"
    PAGE.write_text(HEAD.format(seeds=seeds, data=words.rstrip(".")) + "\n".join(rows(played)) + "\n" + tail)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
