"""Writes docs/reference/verdicts.md: every story on every data set, seed by seed. Run by `make proof-monitoring`.

Arguments: how many seeds; how many of them by Prometheus' rules as well (4); how many minutes its evaluations are apart (5).
A life of a day costs some 6 s of CPU, by Prometheus 25 s more, and 90 s more with an evaluation a minute.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.support.programs import debian_program
from tests.verdicts.comparing import distance, words_of
from tests.verdicts.datasets import DATASETS
from tests.verdicts.life import FIRST, Life, Outcome, problems
from tests.verdicts.prometheus import Alertmanager, by_prometheus
from tests.verdicts.stories import STORIES, Story

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/verdicts.md"
HEAD = """# What the loop does with real data

Each story is played on public data with {seeds} seeds, with every threshold of `spec.monitoring`, `spec.triggers.alerts` and
`spec.retrain` at its default, by the operator's own code: the counters of the server, the embedded engine, the plan of the
TrainingJob. The clock is told, and a random forest is trained for true; what beats the champion by 5 % of its error and is
better than a constant serves. Runs train on the newest 1,000 rows (`spec.data.window`; *long swing*: on all). 1,000 rows come
in an hour, and each hour the labelled rows go to the store. The change begins after three hours. `make proof-monitoring`
writes this page. The data:

{data}

*Right* counts the lives in which there were as many runs as a careful person would make, no alert of a kind that is wrong
there, none missed, and, after a real change, a smaller error than before. *Delay* is from the change to the first alert, in
rows, the median. *Error* is that of the last version on changed rows by that of the first one, the median.

## The operator's own engine

| Story | Data | Right | Runs | Alerts (lives with it) | Delay, rows | Error |
|---|---|---|---|---|---|---|
"""
AGAIN = """
## Whether the runs after the first were worth it

Where more than one run is allowed, the lives by how many there were: the error after the first run, and after the last one, by
that of the first version on the same rows, the medians. *Changed* rows are those of the whole change; *unchanged* ones came
before it and, in *long swing*, come again after it.

| Story | Data | Runs | Lives | Changed, first run | Changed, last run | Unchanged, first run | Unchanged, last run |
|---|---|---|---|---|---|---|---|
"""
PROMETHEUS = """
## Prometheus

{lives} lives, those of the first seeds ({seeds}), played again with Prometheus in the place of the operator's engine. The rules
that the operator makes for each version are evaluated by promtool each {every} minutes, on what the pods told once a minute:
between the five minutes of a life the counters grow evenly. What fires is delivered as by Alertmanager, to the code that takes
its notifications, and runs and versions are those that follow from it: a life that becomes another one by that is judged anew.

*Same* counts the lives in which the same alerts fire as with the operator's own engine, at every five minutes. *A step* counts
those in which one begins or ends five minutes earlier or later, as a figure near its limit may make it: a window of Prometheus
ends at the moment, one of the operator with a twelfth of the window. *Otherwise* counts those that differ by more.

| Story | Data | Right | Runs | Alerts (lives with it) | Delay, rows | Error | Same | A step | Otherwise |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """A life to play. place: of the story. promtool: to play it by Prometheus as well, each so many minutes; or None."""

    place: int
    data: str
    seed: int
    promtool: str | None
    every: int


@dataclass(frozen=True)
class Played:
    """One life. other: by Prometheus, None where it was not played so."""

    story: Story
    data: str
    seed: int
    outcome: Outcome
    other: Outcome | None

    def apart(self) -> str:
        """Return how it goes otherwise by Prometheus, as a line of the page; nothing where the same alerts fire."""
        if self.other is None or not distance(self.outcome, self.other):
            return ""
        both = f"{words_of(self.outcome)}; by Prometheus {words_of(self.other)}"
        return f"- {self.story}, {self.data}, seed {self.seed}: {both}\n"

    def words(self, outcome: Outcome) -> str:
        """Return what is wrong with one of its outcomes, as a line of the page; nothing where all is right."""
        found = problems(self.story, outcome)
        return f"- {self.story}, {self.data}, seed {self.seed}: {'; '.join(found)}\n" if found else ""


def play(case: Case) -> Played:
    """Play one life."""
    story = STORIES[case.place]

    def live(delivered: Alertmanager | None = None) -> Life:
        life = Life(DATASETS[case.data](), story, case.seed, delivered)
        life.play()
        return life

    own = live()
    other = by_prometheus(own, live, case.promtool, case.every).outcome if case.promtool is not None else None
    return Played(story, case.data, case.seed, own.outcome, other)


def rows(played: Sequence[Played]) -> Iterator[str]:
    """Yield the rows of the table of the operator's engine."""
    for story, name, lives in _groups(played):
        yield _row(story.name, name, *_cells(story, [one.outcome for one in lives]))


def rows_by_prometheus(played: Sequence[Played]) -> Iterator[str]:
    """Yield the rows of the table of Prometheus."""
    for story, name, lives in _groups(played):
        both = [(one.outcome, one.other) for one in lives if one.other is not None]
        apart = [distance(own, other) for own, other in both]
        same, step = apart.count(0), apart.count(1)
        cells = _cells(story, [other for _, other in both])
        yield _row(story.name, name, *cells, str(same), str(step), str(len(apart) - same - step))


def rows_of_runs(played: Sequence[Played]) -> Iterator[str]:
    """Yield the rows of the errors after the first run and after the last one, of the stories in which it should fall."""
    for story, name, lives in _groups(played):
        if story.runs[1] < 2 or story.suspended:
            continue
        for runs in sorted({len(one.outcome.served) for one in lives} - {0}):
            outcomes = [one.outcome for one in lives if len(one.outcome.served) == runs]
            cells = [
                _error(outcomes, run, changed=changed) if run < runs else "-"
                for changed in (True, False)
                for run in (0, max(runs - 1, 1))
            ]
            yield _row(story.name, name, str(runs), str(len(outcomes)), *cells)


def _error(lives: Sequence[Outcome], run: int, *, changed: bool) -> str:
    """Return the error after a run by that of the first version, on changed rows or on others, the median."""
    rows = 0 if changed else 1
    errors = [one.errors[one.served[run]][rows] / one.errors[FIRST][rows] for one in lives if one.errors[FIRST][rows]]
    return f"{median(errors):.2f}" if errors else "-"


def _groups(played: Sequence[Played]) -> Iterator[tuple[Story, str, list[Played]]]:
    for story in STORIES:
        for name in DATASETS:
            yield story, name, [one for one in played if (one.story, one.data) == (story, name)]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cells(story: Story, lives: Sequence[Outcome]) -> list[str]:
    right = sum(not problems(story, one) for one in lives)
    runs = Counter(sum(reason == "Alert" for _, reason in one.runs) for one in lives)
    kinds = Counter(kind for one in lives for kind in {kind for kind, _, _ in one.told})
    delays = [one.told[0][2] for one in lives if one.told]
    errors = [one.after / one.changed for one in lives if story.better and one.changed]
    return [
        f"{right}/{len(lives)}",
        ", ".join(f"{count} x{times}" if len(runs) > 1 else str(count) for count, times in sorted(runs.items())),
        ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "-",
        f"{median(delays):,.0f}" if delays else "-",
        f"{median(errors):.2f}" if errors else "-",
    ]


def main(seeds: int = 20, seeds_by_prometheus: int = 4, every: int = 5) -> int:
    """Play all lives and write the page; return 0 when nothing was wrong. every: minutes between evaluations of the rules."""
    promtool = debian_program("promtool", "prometheus") if seeds_by_prometheus else None
    cases = [
        Case(place, name, seed, promtool if seed < seeds_by_prometheus else None, every)
        for seed in range(seeds)
        for place in range(len(STORIES))
        for name in DATASETS
    ]
    played: list[Played] = []
    with ProcessPoolExecutor(2) as pool:
        for done, one in enumerate(pool.map(play, cases), 1):
            played.append(one)
            print(one.words(one.outcome), end="", flush=True)
            if one.other is not None:
                print(one.words(one.other), one.apart(), sep="", end="", flush=True)
            if done % (len(STORIES) * len(DATASETS)) == 0:
                print(f"{one.seed + 1} of {seeds} seeds", flush=True)
                write(played, one.seed + 1, every)
    wrong = sum(
        bool(one.words(outcome)) for one in played for outcome in (one.outcome, one.other) if outcome is not None
    )
    print(f"{wrong} of the lives went otherwise than a careful person would have it: {PAGE.name}")
    return 1 if wrong else 0


def write(played: Sequence[Played], seeds: int, every: int) -> None:
    """Write the page of so many seeds."""
    data = "".join(f"- *{name}*: {' '.join((make.__doc__ or '').split())}\n" for name, make in DATASETS.items())
    page = [HEAD.format(seeds=seeds, data=data.rstrip()), *rows(played)]
    page += [_told("went otherwise", [one.words(one.outcome) for one in played]), AGAIN, *rows_of_runs(played)]
    both = [(one, one.other) for one in played if one.other is not None]
    if both:
        first = len({one.seed for one, _ in both})
        page += [PROMETHEUS.format(lives=len(both), seeds=first, every=every), *rows_by_prometheus(played)]
        page += [_told("went otherwise", [one.words(other) for one, other in both])]
        page += [_told("had other alerts than by the operator's engine", [one.apart() for one, _ in both])]
    PAGE.write_text("".join(page))


def _told(what: str, lines: Sequence[str]) -> str:
    told = "".join(lines)
    return f"\nLives that {what}:\n\n{told}" if told else f"\nNo life {what}.\n"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
