"""Hyperparameters in the environment of a train container."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from modelmill.contracts.parameters import environment


def test_each_parameter_has_a_variable_and_all_have_one() -> None:
    made = environment({"lr": 0.05, "max-depth": 7, "loss": "huber", "warm": True, "cap": None})
    assert made == {
        "MODELMILL_PARAMS": '{"cap":null,"loss":"huber","lr":0.05,"max-depth":7,"warm":true}',
        "MODELMILL_PARAM_LR": "0.05",
        "MODELMILL_PARAM_MAX_DEPTH": "7",
        "MODELMILL_PARAM_LOSS": "huber",
        "MODELMILL_PARAM_WARM": "true",
        "MODELMILL_PARAM_CAP": "null",
    }
    assert environment({}) == {"MODELMILL_PARAMS": "{}"}


def expanded(value: str) -> str:
    """Return what Kubernetes makes of a value where no variable is known (third_party/forked/golang/expansion)."""
    made, place = "", 0
    while place < len(value):
        if value[place] == "$" and value[place + 1 : place + 2] == "$":
            place += 1
        elif value[place] == "$" and value[place + 1 : place + 2] == "(":
            return "expanded"
        made, place = made + value[place], place + 1
    return made


@given(st.text(alphabet="$(A)x ", max_size=12))
def test_no_value_is_expanded(text: str) -> None:
    made = environment({"p": text})
    assert expanded(made["MODELMILL_PARAM_P"]) == text
    assert json.loads(expanded(made["MODELMILL_PARAMS"])) == {"p": text}
