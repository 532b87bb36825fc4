"""When a trial is stopped: as Optuna's pruners say, which are asked the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.api.tuning import Pruning
from modelmill.tuning.ledger import MAX_STEP_DIGITS, Entry, Header, Ledger, decode, encode
from modelmill.tuning.pruning import MOST_POINTS, thinned, worse
from modelmill.tuning.reports import BURST, FORGOTTEN_SECONDS, NOT_LEADING, STRANGER, TAKEN, TOO_MANY, Reports
from modelmill.tuning.suggest import suggest
from tests.unit.tuning.searches import ALPHA, of

optuna.logging.set_verbosity(optuna.logging.ERROR)
CURVES = st.lists(st.dictionaries(st.integers(0, 12), st.integers(-50, 50), min_size=1, max_size=12), max_size=9)
RULES = st.one_of(
    st.builds(lambda: {"name": "Median"}),
    st.builds(lambda share: {"name": "Percentile", "percentile": share}, st.sampled_from(["10", "25", "50", "80"])),
)


def optunas(rule: Pruning) -> optuna.pruners.BasePruner:
    share = float(rule.percentile) if rule.percentile is not None else 50.0
    return optuna.pruners.PercentilePruner(
        share, n_startup_trials=rule.startup_trials, n_warmup_steps=rule.warmup_steps
    )


def study(pruner: optuna.pruners.BasePruner, direction: str, others: Sequence[dict[int, float]]) -> optuna.Study:
    made = optuna.create_study(direction=direction.lower(), pruner=pruner)
    made.add_trials(
        optuna.trial.create_trial(value=0.0, intermediate_values={step: float(one[step]) for step in one})
        for one in others
    )
    return made


@settings(max_examples=150, deadline=None)
@given(
    rule=RULES,
    startup=st.integers(1, 6),
    warmup=st.integers(0, 5),
    direction=st.sampled_from(["Maximize", "Minimize"]),
    others=CURVES,
    own=st.dictionaries(st.integers(0, 12), st.integers(-50, 50), min_size=1, max_size=12),
)
def test_a_trial_is_stopped_at_the_step_at_which_optuna_stops_it(
    rule: dict[str, Any],
    startup: int,
    warmup: int,
    direction: str,
    others: list[dict[int, float]],
    own: dict[int, float],
) -> None:
    pruning = Pruning.model_validate({**rule, "startupTrials": startup, "warmupSteps": warmup})
    theirs = study(optunas(pruning), direction, others)
    trial = theirs.ask()
    reported: dict[int, float] = {}
    for step in sorted(own):
        reported[step] = own[step]
        trial.report(own[step], step)
        stopped = bool(worse(pruning, direction, reported, others))
        assert stopped == trial.should_prune()
        if stopped:
            return


def test_of_a_step_that_nobody_else_has_the_last_common_one_counts() -> None:
    rule = Pruning.model_validate({"name": "Median", "startupTrials": 1})
    others: list[dict[int, float]] = [{4: 0.5}, {4: 0.6}]
    assert "at step 4 its best value was 0.1, the median of 2 trials ends at 0.55" in worse(
        rule, "Maximize", {4: 0.1, 5: 0.9}, others
    )
    assert not worse(rule, "Maximize", {3: 0.7, 4: 0.1}, others)
    assert not worse(rule, "Maximize", {5: 0.1}, others)


@given(st.sets(st.integers(0, 10**9), max_size=300))
def test_what_is_kept_is_bounded_and_kept_again(steps: set[int]) -> None:
    kept = thinned({step: float(step) for step in steps})
    assert len(kept) <= MOST_POINTS
    assert thinned(kept) == kept
    assert bool(kept) == bool(steps)
    if steps:
        assert min(kept) == min(steps)


def test_trials_of_one_length_keep_the_same_steps() -> None:
    whole = thinned(dict.fromkeys(range(5, 2000, 10), 0.0))
    half = thinned(dict.fromkeys(range(5, 1000, 10), 0.0))
    assert len(whole) > MOST_POINTS / 2
    assert {step for step in whole if step < 1000} <= half.keys()


def test_the_ledger_keeps_what_was_reported() -> None:
    entry = Entry(0, {"alpha": "1"}).ended("Pruned", "2026-01-02T03:04:05Z", "WorseThanMedian", "x")
    entry = entry.with_reports({1: 0.123456789, 10**9: -1.0})
    assert len(str(10**9)) <= MAX_STEP_DIGITS
    ledger = Ledger(Header("g", "sha256:" + "d" * 64, 1, 1), (entry,))
    found = decode(encode(ledger))
    assert found is not None
    assert found.entries[0].curve == {1: 0.123457, 10**9: -1.0}
    (shard,) = encode(ledger)
    for broken in ('"x":1', '"1":"a"', '"1":NaN', '"-1":0', '"99999999999":0'):
        damaged = {**shard, "00000": shard["00000"].replace('"1":0.123457', broken)}
        told = decode([damaged])
        assert told is not None
        assert told.damaged


def test_tpe_is_told_what_was_pruned() -> None:
    """A pruned trial counts as a bad one at its step, where one that failed tells nothing."""
    good = [Entry(place, {"alpha": f"{0.1 * place + 0.05}"}, state="Succeeded", value=0.5) for place in range(12)]
    pruned = [Entry(12 + place, {"alpha": f"{place + 1}"}, state="Pruned", reports={"4": 0.1}) for place in range(5)]
    silent = [Entry(12 + place, {"alpha": f"{place + 1}"}, state="Pruned") for place in range(5)]
    search = of(ALPHA)
    assert suggest(search, [*good, *pruned], 1) != suggest(search, [*good, *silent], 1)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_only_pods_are_heard_that_a_plan_expects() -> None:
    reports = Reports("http://x")
    assert reports.take("a", 1, 0.5) == NOT_LEADING
    assert reports.expect("search", ["a"]) == {"a": {}}
    assert reports.take("a", 1, 0.5) == TAKEN
    assert reports.take("b", 1, 0.5) == STRANGER
    assert reports.expect("other", ["b"]) == {"b": {}}
    assert reports.expect("search", ["a", "c"]) == {"a": {1: 0.5}, "c": {}}
    assert reports.expect("search", ["c"]) == {"c": {}}
    assert reports.take("a", 2, 0.5) == STRANGER


def test_the_first_report_of_a_step_counts() -> None:
    reports = Reports("http://x")
    reports.expect("search", ["a"])
    reports.take("a", 1, 0.5)
    reports.take("a", 1, 0.9)
    assert reports.expect("search", ["a"]) == {"a": {1: 0.5}}


def test_a_pod_that_reports_too_often_is_refused_for_a_while() -> None:
    clock = Clock()
    reports = Reports("http://x", clock)
    reports.expect("search", ["a", "b"])
    answers = [reports.take("a", step, 0.5) for step in range(int(BURST) + 5)]
    assert answers == [TAKEN] * int(BURST) + [TOO_MANY] * 5
    assert reports.take("b", 1, 0.5) == TAKEN
    clock.now += 1
    assert reports.take("a", 99, 0.5) == TAKEN


def test_a_search_that_nobody_follows_is_forgotten() -> None:
    clock = Clock()
    reports = Reports("http://x", clock)
    reports.expect("deleted", ["a"])
    clock.now += FORGOTTEN_SECONDS + 1
    reports.expect("search", ["b"])
    assert reports.take("a", 1, 0.5) == STRANGER


@pytest.mark.parametrize(
    "wrong", [{"name": "Hyperband"}, {"name": "Median", "startupTrials": 0}, {"name": "Median", "warmupSteps": -1}]
)
def test_a_wrong_rule_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        Pruning.model_validate(wrong)
