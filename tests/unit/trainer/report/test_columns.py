from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modelmill_trainer.kinds import BOOLEAN, DATE, EMPTY, NUMBER, TEXT
from modelmill_trainer.preprocessing import ALL_DIFFERENT, COMMAS, DATES, MOSTLY_DIFFERENT, NO_VALUE
from modelmill_trainer.report.columns import left_out

KINDS = {"id": NUMBER, "day": DATE, "x": NUMBER, "remark": TEXT, "void": EMPTY, "late": BOOLEAN, "y": NUMBER}


def facts(kinds: dict[str, str], *excluded: str) -> Any:
    return SimpleNamespace(target="y", excluded=excluded, kinds=kinds)


def test_each_column_that_the_model_does_not_take_has_a_reason() -> None:
    why = {"day": DATES, "remark": MOSTLY_DIFFERENT, "late": NO_VALUE}
    told = {column.name: column.why for column in left_out(facts(KINDS, "id"), ["x"], why)}
    assert list(told) == ["id", "day", "remark", "void", "late"]
    assert told["id"] == "excluded by data.features.exclude"
    assert told["day"].startswith("dates; give their parts as numbers")
    assert told["remark"].startswith("texts that mostly differ, like a name, an identifier or free text")
    assert told["void"] == "no value in any row"
    assert told["late"] == "no value in the rows to train on"


@pytest.mark.parametrize("why", [ALL_DIFFERENT, COMMAS])
def test_texts_of_other_forms_are_told_as_such(why: str) -> None:
    (told,) = left_out(facts({"x": NUMBER, "remark": TEXT, "y": NUMBER}), ["x"], {"remark": why})
    assert told.why.startswith(why)


def test_a_column_that_could_be_used_was_left_by_the_train_stage() -> None:
    (told,) = left_out(facts({"x": NUMBER, "spare": NUMBER, "y": NUMBER}), ["x"], {"spare": ""})
    assert (told.name, told.why) == ("spare", "the model that the train stage left does not take it")


def test_a_model_that_takes_every_column_leaves_none_out() -> None:
    assert left_out(facts({"x": NUMBER, "y": NUMBER}), ["x"], {}) == []
