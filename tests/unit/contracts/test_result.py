"""The termination message of a stage."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.result import (
    MAX_BYTES,
    PUBLISHED,
    REPRODUCED,
    SCORED,
    Artifact,
    ChampionFacts,
    DataFacts,
    Reproduction,
    ResultError,
    StageResult,
    TrialResult,
    decode,
    encode,
)

WHOLE = StageResult(
    PUBLISHED,
    artifact=Artifact("s3://mill/a", "sha256:0", 12, "onnx"),
    data=DataFacts("sha256:1", 100, 25),
    metrics={"r2": 0.9},
    champion=ChampionFacts("fuel-1", {"r2": 0.8}, rows=20, challenger={"r2": 0.85}),
    gates=("r2 0.9 >= 0.7",),
    notes=("columns left out: signup (dates)",),
)


def test_everything_comes_back() -> None:
    assert decode(encode(WHOLE)) == WHOLE
    assert decode(encode(replace(WHOLE, champion=None, notes=()))) == replace(WHOLE, champion=None, notes=())


def test_a_message_of_before_has_no_notes() -> None:
    raw = json.loads(encode(WHOLE))
    del raw["notes"], raw["champion"]["rows"], raw["champion"]["challenger"]
    found = decode(json.dumps(raw))
    assert found.notes == ()
    assert found.champion == ChampionFacts("fuel-1", {"r2": 0.8})


def test_notes_give_way_before_reasons_and_gates() -> None:
    gates = tuple(f"{place} {'g' * 165}" for place in range(16))
    text = encode(replace(WHOLE, gates=gates, notes=("n" * 5000, "m" * 400)))
    assert len(text.encode()) <= MAX_BYTES
    found = decode(text)
    assert found.gates == gates
    assert found.notes == ()

    found = decode(encode(replace(WHOLE, notes=("n" * 5000, "m" * 400))))
    assert found.gates == WHOLE.gates
    assert found.notes == ("n" * 500 + "…", "m" * 400)


def test_half_a_surrogate_pair_is_shown_as_a_question_mark() -> None:
    assert decode(encode(replace(WHOLE, notes=("columns left out: \ud800",)))).notes == ("columns left out: ?",)


@given(st.lists(st.text(max_size=3000), max_size=30), st.lists(st.text(max_size=3000), max_size=30))
def test_words_of_any_length_fit(notes: list[str], reasons: list[str]) -> None:
    text = encode(replace(WHOLE, notes=tuple(notes), reasons=tuple(reasons)))
    assert len(text.encode()) <= MAX_BYTES
    assert decode(text).metrics == WHOLE.metrics


@pytest.mark.parametrize("where", ["metrics", "challenger"])
def test_a_champion_without_finite_numbers_is_refused(where: str) -> None:
    champion = replace(ChampionFacts("fuel-1"), **{where: {"r2": float("nan")}})
    with pytest.raises(ResultError, match=rf"champion\.{where}\.r2"):
        encode(replace(WHOLE, champion=champion))


@pytest.mark.parametrize(
    "change",
    [
        {"champion": "fuel-1"},
        {"champion": {"name": "fuel-1", "metrics": 5}},
        {"champion": {"name": "fuel-1", "rows": "many"}},
        {"champion": {"name": "fuel-1", "challenger": [1]}},
        {"metrics": {"r2": 10**400}},
        {"outcome": ["Published"]},
        {"notes": 5},
    ],
)
def test_a_message_of_another_form_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ResultError):
        decode(json.dumps(json.loads(encode(WHOLE)) | change))


@pytest.mark.parametrize("containers", [5, 6, 12])
def test_a_message_that_the_kubelet_has_cut_says_so(containers: int) -> None:
    whole = encode(replace(WHOLE, notes=("n" * 2000,))) + " " * MAX_BYTES
    with pytest.raises(ResultError, match=f"the pod has {containers} containers"):
        decode(whole.replace("}", "")[: 12 * 1024 // containers])


def test_a_message_that_is_nested_without_end_is_refused() -> None:
    with pytest.raises(ResultError, match="not JSON"):
        decode("[" * MAX_BYTES)


def test_a_scored_trial_has_its_metrics_and_its_data() -> None:
    scored = StageResult(SCORED, data=DataFacts("sha256:1", 80, 0, copied=True), metrics={"r2": 0.9})
    assert decode(encode(scored)) == scored
    for lacking in (replace(scored, data=None), replace(scored, metrics={})):
        with pytest.raises(ResultError, match="Scored needs data and metrics"):
            decode(encode(lacking))


def test_a_version_made_again_says_how_it_compares() -> None:
    made = StageResult(
        REPRODUCED,
        data=DataFacts("sha256:1", 80, 20),
        metrics={"r2": 0.9},
        reproduction=Reproduction("fuel-1", True, {"r2": 0.9}),
    )
    assert decode(encode(made)) == made
    for lacking in (replace(made, data=None), replace(made, reproduction=None)):
        with pytest.raises(ResultError, match="Reproduced needs data and reproduction"):
            decode(encode(lacking))
    with pytest.raises(ResultError, match=r"reproduction\.metrics\.r2"):
        encode(replace(made, reproduction=Reproduction("fuel-1", True, {"r2": float("nan")})))


def of_pod(trials: Sequence[TrialResult]) -> StageResult:
    return StageResult(SCORED, trials=tuple(trials))


def test_trials_of_a_pod_are_told_whole_where_there_is_room() -> None:
    trials = (
        TrialResult(0, {"r2": 0.5, "mae": 2.0}),
        TrialResult(1, reason="TrainingFailed", message='alpha "must"\nbe'),
    )
    assert decode(encode(of_pod(trials))) == of_pod(trials)


@pytest.mark.parametrize("failed", [0, 5, 16])
@pytest.mark.parametrize("words", ["plain", "\u00e4\U0001f600", '"\\\n'])
def test_the_objective_of_16_trials_always_has_room(failed: int, words: str) -> None:
    metrics = {"m" * 64: -1.2345678901234567e-300, **{f"metric_{place}{words}": 1 / 3 for place in range(8)}}
    good = [TrialResult(4900 + place, metrics, model="a" * 64) for place in range(16 - failed)]
    bad = [TrialResult(4980 + place, reason="R" * 64, message=words * 600) for place in range(failed)]
    text = encode(of_pod([*good, *bad]))
    assert len(text.encode()) <= MAX_BYTES
    told = decode(text).trials
    assert [one.index for one in told] == [one.index for one in (*good, *bad)]
    assert all(next(iter(one.metrics)) == "m" * 64 for one in told[: len(good)])
    assert all(one.reason == "R" * 64 for one in told[len(good) :])


def test_other_metrics_are_told_as_there_is_room() -> None:
    metrics = dict.fromkeys((f"metric_{place}" for place in range(9)), 1 / 3)
    few, many = (decode(encode(of_pod([TrialResult(index, metrics) for index in range(count)]))) for count in (2, 16))
    assert {tuple(one.metrics) for one in few.trials} == {tuple(metrics)}
    assert {tuple(one.metrics) for one in many.trials} == {("metric_0", "metric_1", "metric_2", "metric_3", "metric_4")}


def test_16_trials_tell_their_models_before_other_metrics() -> None:
    metrics = {
        "f1_weighted": -1.2345678901234567e-300,
        **dict.fromkeys((f"metric_{place}" for place in range(9)), 1 / 3),
    }
    sha256 = "0123456789abcdef" * 4
    text = encode(of_pod([TrialResult(4900 + place, metrics, model=sha256) for place in range(16)]))
    assert len(text.encode()) <= MAX_BYTES
    told = decode(text).trials
    assert {(next(iter(one.metrics)), one.model) for one in told} == {("f1_weighted", sha256)}


def test_a_trials_metric_that_is_no_number_is_refused() -> None:
    with pytest.raises(ResultError, match=r"trials\.3\.r2 is nan"):
        encode(of_pod([TrialResult(3, {"r2": math.nan})]))


@pytest.mark.parametrize(
    "trials", ['[{"metrics":{"r2":1}}]', '[{"index":"x"}]', "[7]", '[{"index":1,"metrics":{"r2":"NaN"}}]', "{}"]
)
def test_what_is_no_trial_of_a_pod_is_told(trials: str) -> None:
    with pytest.raises(ResultError):
        decode(f'{{"v":1,"outcome":"Scored","trials":{trials}}}')
