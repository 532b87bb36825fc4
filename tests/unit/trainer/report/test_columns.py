from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from modelmill_trainer.kinds import BOOLEAN, DATE, EMPTY, NUMBER, TEXT
from modelmill_trainer.report.columns import left_out

KINDS = {"id": NUMBER, "day": DATE, "x": NUMBER, "remark": TEXT, "void": EMPTY, "late": BOOLEAN, "y": NUMBER}


def facts(kinds: dict[str, str], excluded: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(target="y", excluded=excluded, kinds=kinds)


FACTS = facts(KINDS, ("id",))


def test_each_column_that_the_model_does_not_take_has_a_reason() -> None:
    told = {column.name: column.why for column in left_out(FACTS, ["x"], built_in=True)}
    assert list(told) == ["id", "day", "remark", "void", "late"]
    assert told["id"] == "excluded by data.features.exclude"
    assert told["day"].startswith("dates; give their parts as numbers")
    assert "differs in most rows" in told["remark"]
    assert told["void"] == "it has no value in any row"
    assert told["late"] == "it has no value in the rows to train on"


def test_of_another_image_only_what_it_takes_is_known() -> None:
    told = {column.name: column.why for column in left_out(FACTS, ["x"], built_in=False)}
    assert told["day"] == told["remark"] == "the train image's model does not take it"
    assert told["id"] == "excluded by data.features.exclude"


def test_a_model_that_takes_every_column_leaves_none_out() -> None:
    assert left_out(facts({"x": NUMBER, "y": NUMBER}), ["x"], built_in=True) == []
