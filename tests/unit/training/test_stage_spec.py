from __future__ import annotations

import pytest

from modelmill.contracts import names, stage
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
