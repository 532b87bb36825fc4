from __future__ import annotations

import json

import pytest

from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job import TrainingJobSpec
from modelmill.contracts import names, stage
from modelmill.contracts.data import Schema, SchemaColumn, Window
from modelmill.training.builders.stage_spec import parameter_value
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, plan, view


@pytest.mark.parametrize(
    ("text", "value"),
    [("0.05", 0.05), ("7", 7), ("true", True), ("null", None), ("relu", "relu"), (3, 3), ("1e3", 1000.0)],
)
def test_texts_that_mean_numbers_are_numbers(text: str | int, value: object) -> None:
    assert parameter_value(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN", "inf", "-inf", "Infinity", "1e999"])
def test_what_json_cannot_say_stays_text_for_the_estimator_to_refuse(text: str) -> None:
    assert parameter_value(text) == text


@pytest.mark.parametrize("text", ["$(HOME)", "US$$", "$$(AWS_SECRET_ACCESS_KEY)", "a$b", "$"])
def test_no_text_is_expanded_on_its_way_to_a_stage(text: str) -> None:
    """Kubernetes expands `$(NAME)` and `$$` in the value of a variable."""
    job = o.training_job()
    data = {**job["spec"]["data"], "target": text}
    (made,) = plan(view(o.training_job(data=data)), IMAGE).create
    pod = made["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        told = {one["name"]: one.get("value") for one in container["env"]}[names.ENV_STAGE]
        assert "$" not in told
        assert stage.decode(told).data.target == text


def told_of(data: dict[str, object]) -> stage.StageSpec:
    """Return what a run of a TrainingJob with these fields of `data` tells its stages."""
    whole = o.training_job()["spec"]["data"] | data
    (made,) = plan(view(o.training_job(data=whole)), IMAGE).create
    fetch = made["spec"]["template"]["spec"]["initContainers"][0]
    return stage.decode({one["name"]: one.get("value") for one in fetch["env"]}[names.ENV_STAGE])


@pytest.mark.parametrize(
    ("given", "window"),
    [
        ({"column": "Year", "last": "5"}, Window(column="Year", last="5")),
        ({"rows": 5000}, Window(rows=5000)),
        ({"objectsNewerThan": "7d"}, Window(objects_newer_than="7d")),
        (None, None),
    ],
)
def test_the_window_comes_to_the_stages(given: dict[str, object] | None, window: Window | None) -> None:
    assert told_of({"window": given} if given else {}).data.window == window


def test_a_run_of_another_release_has_no_window() -> None:
    whole = json.loads(stage.encode(told_of({})))
    del whole["data"]["window"]
    assert stage.decode(json.dumps(whole)).data.window is None
    whole["data"]["window"] = {"rows": 5, "last": "5"}
    with pytest.raises(ValueError, match="exactly one of"):
        stage.decode(json.dumps(whole))


def test_another_window_is_trained_anew() -> None:
    """Of the same data, that is: it is another run's hash, and none is Unchanged for it."""
    data = o.training_job()["spec"]["data"]
    spec = TrainingJobSpec.model_validate(o.training_job()["spec"])
    other = TrainingJobSpec.model_validate(o.training_job(data={**data, "window": {"rows": 5}})["spec"])
    assert short_hash(spec.data) != short_hash(other.data)


def test_the_schema_comes_to_the_stages() -> None:
    given = {
        "columns": [
            {"name": "power", "type": "number", "minimum": "0", "maximum": "1e3", "maxMissingRatio": "0.05"},
            {"name": "origin", "categories": ["USA", "Japan"], "required": False},
        ],
        "onViolation": "Warn",
    }
    columns = (
        SchemaColumn("power", "number", 0.0, 1000.0, (), 0.05),
        SchemaColumn("origin", categories=("USA", "Japan"), required=False),
    )
    assert told_of({"schema": given}).data.schema == Schema(columns, "Allow", "Warn")
    assert told_of({"schema": given | {"unexpected": "Reject"}}).data.schema == Schema(columns, "Reject", "Warn")
    assert told_of({"schema": {}}).data.schema == Schema((), "Reject", "Fail")
    assert told_of({}).data.schema is None
