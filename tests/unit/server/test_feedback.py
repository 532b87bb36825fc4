"""Ids hold what was predicted and nothing else is believed; labels are counted once, by the version that predicted."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, parse_profile
from modelmill_server.core.feedback import RECENT, Accepted, FeedbackCounter
from modelmill_server.core.plausible import LARGEST, Plausible, plausible
from modelmill_server.core.tokens import (
    MAX_AGE_SECONDS,
    MAX_CHARACTERS,
    MAX_ROWS,
    Claim,
    FeedbackError,
    Tokens,
    key_from,
)
from modelmill_server.failure import StartError
from modelmill_server.protocols.feedback import Feedback
from modelmill_server.telemetry.exposition import Exposition

KEY = key_from(None, b"manifest")
NOW = 1_800_000_000
WIDE = Plausible(-1e7, 1e7)
R, C = "regression", "classification"

whole = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
labels = st.one_of(*(st.lists(kind, min_size=1, max_size=20) for kind in (texts, whole, st.booleans())))


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def tokens(version: str = "v1", key: bytes = KEY, clock: Clock | None = None) -> Tokens:
    return Tokens(key, version, clock=clock or Clock())


def made(predictions: Any, kind: str, version: str = "v1") -> str:
    token = tokens(version).make(predictions, kind)
    assert token is not None
    return token


def refusal(token: str, reader: Tokens | None = None) -> tuple[int, str]:
    with pytest.raises(FeedbackError) as caught:
        (reader or tokens()).read(token)
    assert str(caught.value) == caught.value.message
    return caught.value.status, caught.value.reason


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), labels)
def test_labels_come_back_as_they_were(version: str, predictions: list[Any]) -> None:
    claim = tokens().read(made(predictions, C, version))
    assert (claim.version, claim.seconds, claim.task) == (version, NOW, C)
    assert claim.predictions == tuple(predictions)
    assert [type(value) for value in claim.predictions] == [type(value) for value in predictions]


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=MAX_ROWS))
def test_numbers_come_back_to_the_bit(predictions: list[float]) -> None:
    claim = tokens().read(made(np.array(predictions), R))
    assert claim.task == R
    assert [value.hex() for value in claim.predictions] == [value.hex() for value in predictions]


@pytest.mark.parametrize(
    ("predictions", "kind", "expected"),
    [
        (np.array([1.5, 2.5], np.float32), R, (1.5, 2.5)),
        (np.array([3], np.int32), R, (3.0,)),
        ([2], R, (2.0,)),
        ((1, 2), C, (1, 2)),
        (np.array([True, False]), C, (True, False)),
        (np.array(["yes", "no"]), C, ("yes", "no")),
        (np.array(["yes"], object), C, ("yes",)),
        (np.array([1.0, 2.0]), C, (1.0, 2.0)),
    ],
)
def test_arrays_of_numpy(predictions: Any, kind: str, expected: tuple[Any, ...]) -> None:
    found = tokens().read(made(predictions, kind)).predictions
    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("predictions", "kind"),
    [
        ([], R),
        ([0.0] * (MAX_ROWS + 1), R),
        (np.zeros((2, 2)), R),
        (["text"], R),
        ([None], R),
        (["x" * 30] * MAX_ROWS, C),
        ([2**63], C),
        ([1, "a"], C),
        ([1, True], C),
        ([None], C),
        ([b"x"], C),
        (["\ud800"], C),
        (["x" * 70_000], C),
    ],
)
def test_answers_without_an_id(predictions: Any, kind: str) -> None:
    assert tokens().make(predictions, kind) is None


@given(st.integers(1, 1400))
@example(1495)
@example(1496)
@example(1497)
@example(1498)
def test_ids_are_short_and_url_safe(size: int) -> None:
    token = tokens().make(["é" + "x" * size], C)
    if token is not None:
        assert len(token) <= MAX_CHARACTERS
        assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        assert tokens().read(token).predictions == ("é" + "x" * size,)
    else:
        assert size > 1450


def test_code_is_the_hmac_of_the_rest() -> None:
    raw = base64.urlsafe_b64decode(made([1.5], R) + "==="[: -len(made([1.5], R)) % 4])
    assert raw[-16:] == hmac.digest(KEY, raw[:-16], "sha256")[:16]


def test_equal_predictions_have_different_ids() -> None:
    one, other = tokens(), tokens()
    found = [one.make(["yes"], C), one.make(["yes"], C), other.make(["yes"], C)]
    assert len(set(found)) == 3


def test_no_changed_id_is_believed() -> None:
    token = made([1.5], R)
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    for at in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[at // 8] ^= 1 << at % 8
        assert refusal(base64.urlsafe_b64encode(changed).decode().rstrip("=")) == (400, "forged")


def test_only_the_same_key_reads_an_id() -> None:
    token = made([1.5], R)
    assert refusal(token, tokens(key=key_from(None, b"another manifest"))) == (400, "forged")
    assert tokens("v2").read(token).version == "v1"


@given(st.one_of(st.text(max_size=200), st.text("AZaz09-_=+/", max_size=200), st.binary().map(lambda raw: raw.hex())))
@example("")
@example("A")
@example("A" * (MAX_CHARACTERS + 1))
@example("=" * 40)
@example("é" * 40)
@example("\ud800" * 40)
def test_what_is_not_an_id_is_refused(text: str) -> None:
    status, reason = refusal(text)
    assert status == 400
    assert reason in ("malformed", "forged")


def test_standard_base64_is_not_url_safe_base64() -> None:
    token = next(token for token in (made([float(value)], R) for value in range(1000)) if "-" in token)
    assert refusal(token.replace("-", "+")) == (400, "malformed")


def test_format_of_another_release_is_refused() -> None:
    token = made([1.5], R)
    raw = b"\x03" + base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[1:-16]
    raw += hmac.digest(KEY, raw, "sha256")[:16]
    assert refusal(base64.urlsafe_b64encode(raw).decode().rstrip("=")) == (400, "malformed")


def test_age() -> None:
    clock = Clock()
    token, reader = made([1.5], R), tokens(clock=clock)
    clock.now = NOW + MAX_AGE_SECONDS
    assert reader.read(token).predictions == (1.5,)
    clock.now += 1
    with pytest.raises(FeedbackError, match=r"30\.0 days old: labels are taken for 30 days") as caught:
        reader.read(token)
    assert (caught.value.status, caught.value.reason) == (400, "expired")
    clock.now = NOW - 300
    assert reader.read(token).predictions == (1.5,)
    clock.now -= 1
    assert refusal(token, reader) == (400, "future")


def test_keys() -> None:
    set_key = key_from("0123456789abcdef", b"manifest")
    assert set_key == key_from("0123456789abcdef", b"another manifest")
    assert len({set_key, KEY, key_from("", b"another manifest"), key_from(None, b"0123456789abcdef")}) == 4
    with pytest.raises(StartError, match="MODELMILL_FEEDBACK_KEY") as caught:
        key_from("short", b"manifest")
    assert caught.value.reason == "ConfigInvalid"
    assert "short" not in caught.value.message
    with pytest.raises(ValueError, match="nothing"):
        key_from(None, b"")


class Scored:
    """A server's feedback, and its metrics as Prometheus reads them."""

    def __init__(self, task: str, likely: Plausible = WIDE) -> None:
        self.tokens = tokens()
        self.feedback = Feedback(self.tokens, counter := FeedbackCounter("m", "v1", task, likely))
        self.counter = counter

    def send(self, token: str | None, **content: Any) -> tuple[int, Any]:
        status, body = self.feedback.handle(json.dumps({"id": token, **content}).encode())
        return status, json.loads(body)

    def metrics(self) -> dict[tuple[str, ...], float]:
        exposition = Exposition()
        exposition.sources = [self.counter.families]
        text = asyncio.run(exposition.render())[0].decode()
        found: dict[tuple[str, ...], float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                assert sample.labels["model_name"] == "m"
                extra = [value for name, value in sample.labels.items() if name in ("result", "reason")]
                found[sample.name, sample.labels["model_version"], *extra] = sample.value
        return found

    def values(self, version: str = "v1") -> tuple[float | None, ...]:
        found, name = self.metrics(), "modelmill_feedback"
        keys = [(f"{name}_total", version, result) for result in ("correct", "wrong", "scored")]
        keys += [(f"{name}_absolute_error_sum", version), (f"{name}_squared_error_sum", version)]
        return tuple(found.get(key) for key in keys)

    def rejected(self) -> dict[str, float]:
        found = self.metrics()
        return {key[2]: value for key, value in found.items() if "rejected" in key[0] and value}

    def implausible(self) -> dict[str, float]:
        found = self.metrics()
        return {key[2]: value for key, value in found.items() if "implausible" in key[0] and value}


def test_series_are_there_before_any_feedback() -> None:
    assert Scored(C).values() == (0, 0, None, None, None)
    assert Scored(R).values() == (None, None, 0, 0, 0)
    assert Scored(R).rejected() == {}


def test_labels_are_compared() -> None:
    scored = Scored(C)
    assert scored.send(made(["yes"], C), label="yes") == (200, {"accepted": 1})
    assert scored.send(made(["yes", "no", "yes"], C), labels=["no", "no", None]) == (200, {"accepted": 2})
    assert scored.values() == (2, 1, None, None, None)


def test_errors_are_summed() -> None:
    scored = Scored(R)
    assert scored.send(made([1.5, 10.0], R), labels=[1, 13.0]) == (200, {"accepted": 2})
    assert scored.send(made([2.0], R), label=float("nan")) == (200, {"accepted": 0})  # read as null
    assert scored.values() == (None, None, 2, 3.5, 9.25)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.none() | st.floats(-1e6, 1e6)), min_size=1, max_size=MAX_ROWS))
def test_sums_are_those_of_numpy(pairs: list[tuple[float, float | None]]) -> None:
    scored = Scored(R)
    known = [(prediction, label) for prediction, label in pairs if label is not None]
    sent = scored.send(made([pair[0] for pair in pairs], R), labels=[pair[1] for pair in pairs])
    assert sent == (200, {"accepted": len(known)})
    errors = np.array([prediction - label for prediction, label in known])
    _, _, count, absolute, squared = scored.values()
    assert count == len(known)
    assert absolute == pytest.approx(np.abs(errors).sum())
    assert squared == pytest.approx(np.square(errors).sum())


@pytest.mark.parametrize(
    ("predictions", "kind", "sent", "words"),
    [
        (["a", "b"], C, {"labels": ["a", 1]}, "row 1 must be text"),
        (["a", "b"], C, {"labels": ["a"]}, "2 rows, the feedback 1 labels"),
        (["a", "b"], C, {"label": "a"}, "2 rows, the feedback 1 labels"),
        ([1], C, {"label": "1"}, "row 0 must be a whole number"),
        ([1], C, {"label": True}, "row 0 must be a whole number"),
        ([1], C, {"label": 1.5}, "row 0 must be a whole number"),
        ([True], C, {"label": 1}, "row 0 must be true or false"),
        ([1.0, 2.0], R, {"labels": [1.0, "2"]}, "row 1 must be a number"),
        ([1.0], R, {"label": False}, "row 0 must be a number"),
        ([math.nan], R, {"label": 1.0}, "row 0 is not a number"),
    ],
)
def test_labels_that_do_not_fit(predictions: list[Any], kind: str, sent: dict[str, Any], words: str) -> None:
    scored = Scored(kind)
    status, answer = scored.send(made(predictions, kind), **sent)
    assert status == 400
    assert words in answer["error"]
    assert scored.values() == Scored(kind).values()
    assert scored.rejected() == {"labels": 1}


def test_whole_numbers_may_come_as_floats() -> None:
    scored = Scored(C)
    assert scored.send(made([3, 4], C), labels=[3.0, 5.0]) == (200, {"accepted": 2})
    assert scored.values()[:2] == (1, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"id"',
        b"\xff",
        b"[" * 60_000,
        b'{"id":"ID","label":' + b"[" * 60_000,
        b'{"label":1}',
        b'{"id":5,"label":1}',
        b'{"id":"ID"}',
        b'{"id":"ID","label":1,"labels":[1]}',
        b'{"id":"ID","label":{}}',
        b'{"id":"ID","labels":5}',
        b'{"id":"ID","labels":[[1]]}',
        b'{"id":"ID","label":Infinity}',
        b'{"id":"ID","label":1e999}',
        b'{"id":"ID","label":' + b"9" * 5000 + b"}",
        b'{"id":"ID","label":' + b"9" * 400 + b"}",
        b'{"id":"ID","label":"\\ud800"}',
    ],
)
def test_malformed_bodies_are_answered_with_400(body: bytes) -> None:
    scored = Scored(R)
    status, answer = scored.feedback.handle(body.replace(b"ID", made([1.5], R).encode()))
    assert status == 400
    assert json.loads(answer)["error"]
    assert sum(scored.rejected().values()) == 1
    assert scored.values() == (None, None, 0, 0, 0)


def test_long_body_is_refused() -> None:
    scored = Scored(C)
    assert scored.send(made(["a"], C), label="x" * 70_000)[0] == 413
    assert scored.rejected() == {"malformed": 1}


def test_unknown_fields_are_ignored() -> None:
    assert Scored(C).send(made(["a"], C), label="a", comment="x")[0] == 200


def test_a_row_is_scored_once() -> None:
    scored = Scored(C)
    token = made(["a", "b", "c"], C)
    assert scored.send(token, labels=["a", None, None]) == (200, {"accepted": 1})
    status, answer = scored.send(token, labels=["a", "b", None])
    assert (status, answer) == (409, {"error": "row 0 of this answer was scored already"})
    assert scored.send(token, labels=[None, "b", "x"]) == (200, {"accepted": 2})
    assert scored.values()[:2] == (2, 1)
    assert scored.rejected() == {"duplicate": 1}


def test_only_the_last_rows_are_remembered() -> None:
    counter = FeedbackCounter("m", "v1", C, Plausible())
    claims = [Claim("v1", NOW, C, ("a",) * 100, bytes([number]) * 16) for number in range(RECENT // 100 + 1)]
    for claim in claims:
        counter.score(claim, ["a"] * 100)
    with pytest.raises(FeedbackError) as caught:
        counter.score(claims[1], ["a"] * 100)
    assert caught.value.status == 409
    assert counter.score(claims[0], ["a"] * 100) == Accepted(100)


def test_the_version_that_predicted_is_counted_and_few_are() -> None:
    scored = Scored(C)
    for number in range(25):
        assert scored.send(made(["a"], C, f"old-{number}"), label="a")[0] == 200
    assert scored.send(made(["a"], C), label="b")[0] == 200
    versions = {key[1] for key in scored.metrics() if key[0] == "modelmill_feedback_total"}
    assert versions == {"v1", "other", *(f"old-{number}" for number in range(19))}
    assert scored.values("other")[:2] == (6, 0)
    assert scored.values("v1")[:2] == (0, 1)


def test_forged_ids_are_counted() -> None:
    scored = Scored(C)
    other = tokens(key=key_from(None, b"another manifest")).make(["a"], C)
    status, answer = scored.send(other, label="a")
    assert status == 400
    assert "MODELMILL_FEEDBACK_KEY" in answer["error"]
    assert scored.rejected() == {"forged": 1}


def test_one_wild_label_does_not_end_the_sums() -> None:
    scored = Scored(R, Plausible(-100, 200))
    for label in (1e150, -1e300, 10**300):
        assert scored.send(made([10.0], R), label=label) == (200, {"accepted": 1, "implausible": 1})
    absolute, squared = 190 + 110 + 190, 190**2 + 110**2 + 190**2
    assert scored.values() == (None, None, 3, absolute, squared)
    assert scored.implausible() == {"label_beyond_range": 3}
    assert scored.send(made([10.0], R), label=9.5) == (200, {"accepted": 1})
    assert scored.values() == (None, None, 4, absolute + 0.5, squared + 0.25)


def test_nor_does_one_wild_prediction() -> None:
    scored = Scored(R, Plausible(-100, 200))
    assert scored.send(made([1e38, math.inf], R), labels=[10.0, None]) == (200, {"accepted": 1})
    assert scored.send(made([math.inf], R), label=10.0) == (200, {"accepted": 1})
    assert scored.values() == (None, None, 2, 380, 2 * 190**2)
    assert scored.implausible() == {"prediction_beyond_range": 2}


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False)), max_size=50), st.floats(0.5, 50))
def test_sums_move_after_whatever_was_sent(pairs: list[tuple[float, float]], error: float) -> None:
    counter = FeedbackCounter("m", "v1", R, Plausible(-100, 200))
    for number, (prediction, label) in enumerate(pairs):
        counter.score(Claim("v1", NOW, R, (prediction,), bytes([number]) * 16), [label])
    before = [family.samples for family in counter.families() if "error" in family.name]
    counter.score(Claim("v1", NOW, R, (100.0,), b"\xff" * 16), [100.0 - error])
    after = [family.samples for family in counter.families() if "error" in family.name]
    moved = [new[1].value - old[1].value for new, old in zip(after, before, strict=True)]
    assert moved == pytest.approx([error, error**2])


def test_labels_that_are_no_class_of_the_model_are_wrong_and_told() -> None:
    scored = Scored(C, Plausible(classes=frozenset(("yes", "no"))))
    assert scored.send(made(["yes"], C), label="Yes") == (200, {"accepted": 1, "implausible": 1})
    assert scored.send(made(["maybe"], C, "v0"), label="never") == (200, {"accepted": 1})  # of another version
    assert scored.values()[:2] == (0, 1)
    assert scored.implausible() == {"unknown_class": 1}


def signature(*outputs: Tensor) -> Signature:
    return Signature(R, (), outputs or (Tensor("predict", "FP64", (-1,)),))


@pytest.mark.parametrize(
    ("target", "edges", "golden", "expected"),
    [
        ((10.0, 30.0), (0.0, 1.0), [5.0], (-190.0, 230.0)),
        ((0.0, 0.0), (), [], (-10.0, 10.0)),
        ((5.0, 5.0), (), [], (-45.0, 55.0)),
        ((-1e308, 1e308), (), [], (-LARGEST, LARGEST)),
        (None, (12.0, 20.0), [10.0, 30.0], (-190.0, 230.0)),
        (None, (), [math.inf, 10.0, None, 30.0], (-190.0, 230.0)),
        (None, (), [], (-LARGEST, LARGEST)),
    ],
)
def test_plausible_range(target: Any, edges: Any, golden: list[Any], expected: tuple[float, float]) -> None:
    profile = Profile({}, FeatureProfile("numeric", (), edges), 1, target)
    found = plausible(signature(), profile, Golden({}, {"predict": golden}))
    assert (found.low, found.high, found.classes) == (*expected, None)


def test_plausible_classes() -> None:
    found = plausible(
        signature(Tensor("predict", "BYTES", (-1,), classes=("a", "b"))), Profile({}, None, 1), Golden({}, {})
    )
    assert [found.has_class(label) for label in ("a", "c")] == [True, False]


@pytest.mark.parametrize(
    "target", ["[1]", "[2, 1]", "[1, NaN]", "[1, Infinity]", '["a", "b"]', "[true, true]", "{}", "5"]
)
def test_a_profile_with_a_wrong_range_is_refused(target: str) -> None:
    content = f'{{"v": 1, "features": {{}}, "prediction": null, "rows": 1, "target": {target}}}'
    with pytest.raises(ValueError, match=r"profile\.json: target"):
        parse_profile(content.encode())
