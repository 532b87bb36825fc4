from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelmill.contracts.artifact import FeatureProfile, Profile, Signature, Tensor
from modelmill.contracts.result import ChampionFacts
from modelmill.contracts.stage import Data, Estimator, StageSpec, Store
from modelmill_trainer.facts import ObjectFacts
from modelmill_trainer.gates import Verdict
from modelmill_trainer.interpretation import Interpretation
from modelmill_trainer.kinds import NUMBER, TEXT
from modelmill_trainer.report.page import render

HOSTILE = "<script>alert('&\")</script>"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page_of(**changes: Any) -> str:
    spec = StageSpec(
        description=changes.pop("description", ""),
        namespace="demo", training_job="fuel", run=3, run_uid="u", model="fuel", version="fuel-3",
        store=Store("file:///m"), data=Data("file:///d", "csv", "y"), estimator=Estimator("sklearn.x"),
    )  # fmt: skip
    facts = {
        "uri": "file:///d", "digest": "sha256:0", "objects": [ObjectFacts("a.csv", 3, "ab" * 32)],
        "holdout_objects": [], "target": "y", "excluded": [], "kinds": {"x": NUMBER, "y": NUMBER}, "rows": 8,
        "holdout_rows": 4, "dropped_rows": 0, "holdout": "a random 20% of the rows",
        "compared": "", "drift": (),
    }  # fmt: skip
    facts |= changes.pop("facts", {})
    feature = changes.pop("feature", "x")
    found = changes.pop("found", Interpretation())
    measured = {
        "spec": spec, "facts": SimpleNamespace(**facts), "notes": (), "left_out": {},
        "model": SimpleNamespace(task="regression", features=[feature], classes=()),
        "target": np.array([1.0, 2.0, 3.0, 4.0]), "outputs": {"predict": np.array([1.0, 2.0, 3.0, 5.0])},
        "metrics": {"r2": 0.8, "mae": 1234567.0}, "champion": None, "primary": "r2", "direction": "Maximize",
        "verdicts": [], "passed": True,
    } | changes  # fmt: skip
    signature = Signature("regression", (Tensor(feature, "FP64", (-1,)),), (Tensor("predict", "FP64", (-1,)),))
    profile = Profile({feature: FeatureProfile("numeric", (0.5, 0.5), (1.5,), importance=0.5)}, None, 8)
    importance = {feature: 0.5}
    return render(SimpleNamespace(**measured), signature, profile, importance, found, {"seed": "0"}, "onnx")  # type: ignore[arg-type]


def test_what_the_model_is_for_is_told_as_text() -> None:
    assert "Miles &amp; &lt;gallons&gt;" in page_of(description="Miles & <gallons>")


def conclusion(page: str) -> tuple[str, str]:
    found = re.search(r'<h2>Verdict</h2>\s*<p class="(\w+)">([^<]*)</p>', page)
    assert found is not None
    return found[1], found[2]


@pytest.mark.parametrize(
    ("passed", "style", "sentence"), [(None, "neutral", "No gate is defined"), (True, "good", "Every gate passed"),
                                      (False, "bad", "At least one gate failed")]
)  # fmt: skip
def test_the_verdict_comes_first(passed: bool | None, style: str, sentence: str) -> None:
    verdicts = [] if passed is None else [Verdict(passed, "r2 0.8 >= 0.5")]
    page = page_of(verdicts=verdicts, passed=passed is not False)
    assert conclusion(page)[0] == style
    assert conclusion(page)[1].startswith(sentence)
    assert ('class="good"' in page, 'class="bad"' in page) == (passed is True, passed is False)
    assert page.index("Verdict") < page.index("Quality on the hold-out") < page.index("Data") < page.index("Lineage")


def test_the_verdict_names_what_the_data_gates_let_pass() -> None:
    page = page_of(verdicts=[Verdict(True, "r2 0.8 >= 0.5")], facts={"drift": ("column b is missing",)})
    assert conclusion(page) == (
        "neutral",
        "Every gate passed. The data gates tell of 1 thing about its data: see below.",
    )


def test_nothing_is_loaded_from_elsewhere_and_the_policy_says_so() -> None:
    page = page_of()
    assert f'content="{POLICY}"' in page
    for part in ("<script", "src=", "<link", "<img", "<image", "url(", "data:"):
        assert part not in page, part
    # Names of a vocabulary are no addresses to load from.
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}


def test_whatever_the_user_names_is_escaped() -> None:
    page = page_of(
        feature=HOSTILE,
        facts={
            "target": HOSTILE, "uri": HOSTILE, "excluded": [HOSTILE + "2"],
            "kinds": {HOSTILE: TEXT, HOSTILE + "2": TEXT}, "objects": [ObjectFacts(HOSTILE, 1, "0")],
        },
        notes=(HOSTILE,),
        metrics={"r2": 0.8, HOSTILE: 1.0},
        champion=ChampionFacts(HOSTILE, message=HOSTILE),
        verdicts=[Verdict(True, HOSTILE)],
    )  # fmt: skip
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 8


def test_metrics_stand_beside_those_of_the_champion() -> None:
    page = page_of(champion=ChampionFacts("fuel-2", {"r2": 0.7, "mae": 1234569.5}))
    row = re.search(r"<tr><td[^>]*>mae</td>(.*?)</tr>", page)
    assert row is not None
    assert re.findall(r">([^<>]+)</td>", row[1]) == ["1.235e+06", "1.235e+06", "2.5"]
    assert "fuel-2" in page


def test_a_champion_that_could_not_be_measured_is_told_with_the_reason() -> None:
    page = page_of(champion=ChampionFacts("fuel-2", message="it needs z"))
    assert "The champion fuel-2 is not compared: it needs z." in page


def test_columns_and_notes_are_told() -> None:
    facts = {"kinds": {"x": NUMBER, "id": NUMBER, "y": NUMBER}, "excluded": ["id"]}
    page = page_of(facts=facts, notes=("2 rows are left out", "only 3 rows are new"))
    assert '<td class="name">id</td><td>excluded by data.features.exclude</td>' in page
    assert "2 rows are left out." in page
    assert "only 3 rows are new." in page
    assert "The model takes every column." in page_of()


def test_long_lists_are_cut_and_say_so() -> None:
    objects = [ObjectFacts(f"part-{number}.csv", 1, "0") for number in range(30)]
    columns = {f"column {number}": TEXT for number in range(150)}
    page = page_of(facts={"objects": objects, "kinds": {"x": NUMBER, "y": NUMBER} | columns})
    assert "part-19.csv" in page
    assert "part-20.csv" not in page
    assert "and 10 more, in data.json" in page
    assert "and 50 more." in page


def test_single_words_are_not_broken_and_a_failed_gate_may_be_overridden() -> None:
    page = page_of(verdicts=[Verdict(False, "r2 0.1 is below 0.5")], passed=False)
    assert "td.word { overflow-wrap: normal; white-space: nowrap; }" in page
    assert '<td class="word bad">failed</td>' in page
    assert '<td class="word">FP64</td>' in page
    assert conclusion(page)[1].endswith("served only where a person approves it.")


def test_the_data_gates_are_told() -> None:
    assert "data gates" not in page_of()
    quiet = page_of(facts={"compared": "compared with the data of fuel-2, 9 rows"})
    assert "<p>The data gates found nothing to tell; compared with the data of fuel-2, 9 rows.</p>" in quiet
    loud = page_of(
        facts={"compared": "compared with the data of fuel-2, 9 rows", "drift": (HOSTILE, "dates are older")}
    )
    assert "<li>&lt;script&gt;alert(&#39;&amp;&#34;)&lt;/script&gt;.</li>" in loud
    assert "<li>dates are older.</li>" in loud
