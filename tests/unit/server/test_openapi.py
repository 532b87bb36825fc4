"""The OpenAPI document: what it says about request bodies is what the readers of requests do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from modelmill.contracts.artifact import CATEGORICAL, NUMERIC, Signature, Tensor
from modelmill_server.protocols import rows, v2
from modelmill_server.queries.columns import RejectedError, features_of
from tests.support.described import described

POWER = Tensor("power", "FP64", (-1,))
WEIGHT = Tensor("weight", "FP64", (-1,), NUMERIC, True)
CYLINDERS = Tensor("cylinders", "INT64", (-1,))
SMALL = Tensor("small", "INT8", (-1,))
TURBO = Tensor("turbo", "BOOL", (-1,))
ORIGIN = Tensor("origin", "BYTES", (-1,), CATEGORICAL)
MIXED = (POWER, WEIGHT, CYLINDERS, TURBO, ORIGIN)
NUMBERS = (POWER, WEIGHT, SMALL)
IGNORED = ("signup", "mileage")
LABEL = Tensor("predict", "BYTES", (-1,), classes=("no", "yes"))
CHANCES = Tensor("predict_proba", "FP64", (-1, 2), classes=("no", "yes"))
INFER = "/v2/models/fuel/infer"


def made(inputs: tuple[Tensor, ...] = MIXED) -> dict[str, Any]:
    return described("fuel", "fuel-3", Signature("classification", inputs, (LABEL, CHANCES), IGNORED))


class Both:
    """What the schema of a path and the server's own reader say about a body."""

    def __init__(self, inputs: tuple[Tensor, ...]) -> None:
        self.document = made(inputs)
        features, outputs = features_of(inputs), (LABEL.name, CHANCES.name)
        by_row = rows.Reader(features, LABEL.name, 100, frozenset(IGNORED))
        self._read = {
            INFER: v2.Reader(features, outputs, 100, frozenset(IGNORED)).read,
            "/v1/models/fuel:predict": by_row.read_v1,
            "/invocations": by_row.read_mlflow,
        }

    def validator(self, path: str) -> Any:
        body = self.document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        return jsonschema_rs.validator_for({**body, "components": self.document["components"]})

    def taken(self, path: str, body: Any) -> tuple[bool, bool]:
        """Return whether the schema and whether the reader takes the body."""
        try:
            self._read[path](json.dumps(body).encode())
        except RejectedError:
            return self.validator(path).is_valid(body), False
        return self.validator(path).is_valid(body), True


@pytest.fixture(scope="module")
def mixed() -> Both:
    return Both(MIXED)


@pytest.fixture(scope="module")
def numbers() -> Both:
    return Both(NUMBERS)


def parts(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(child)


def test_every_path_is_there_with_name_and_version() -> None:
    paths = made()["paths"]
    bases = ("/v2/models/fuel", "/v2/models/fuel/versions/fuel-3")
    gets = {path for path, item in paths.items() if "get" in item}
    posts = {path for path, item in paths.items() if "post" in item}
    own = {"/metrics", "/openapi.json"}
    health = {"/", "/v2", "/v2/health/live", "/v2/health/ready", "/ping", "/health", "/version"}
    models = {"/v1/models", "/v1/models/fuel", "/v2/models", "/v2/models/stats"}
    assert gets == own | health | models | {base + end for base in bases for end in ("", "/ready", "/config", "/stats")}
    v1 = {"/v1/models/fuel:predict", "/v1/models/fuel:explain"}
    assert posts == v1 | {f"{base}/infer" for base in bases} | {"/v2/repository/index", "/invocations", "/feedback"}


def test_document_is_whole() -> None:
    document = made()
    assert json.loads(json.dumps(document)) == document
    references = {part["$ref"].rpartition("/")[2] for part in parts(document) if "$ref" in part}
    assert references == set(document["components"]["schemas"])
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        for code, answer in operation["responses"].items():
            assert answer["description"]
            assert code == "200" or "application/json" in answer["content"]


@pytest.mark.parametrize("inputs", [MIXED, NUMBERS, (POWER,), (ORIGIN,), (SMALL,), (TURBO,)])
def test_examples_are_taken(inputs: tuple[Tensor, ...]) -> None:
    both = Both(inputs)
    seen = 0
    for path in (INFER, "/v1/models/fuel:predict", "/invocations"):
        content = both.document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        for name, example in content["examples"].items():
            assert both.taken(path, example["value"]) == (True, True), (path, name)
            seen += 1
    assert seen == 8


IGNORED_TENSOR = {"name": "signup", "shape": [1], "datatype": "DATE32", "data": ["2026-01-01"]}


def tensors(**changes: Any) -> dict[str, Any]:
    """Return a good infer request; a keyword changes members of that feature's tensor, or leaves it out (None)."""
    good = {"power": ("FP64", 1.5), "weight": ("FP64", None), "cylinders": ("INT64", 4), "turbo": ("BOOL", True)}
    plain = {
        name: {"name": name, "shape": [1], "datatype": datatype, "data": [value]}
        for name, (datatype, value) in {**good, "origin": ("BYTES", "USA")}.items()
    }
    return {"inputs": [{**item, **(changes.get(name) or {})} for name, item in plain.items() if changes.get(name, 1)]}


TAKEN: list[dict[str, Any]] = [
    tensors(),
    {"inputs": tensors()["inputs"][::-1], "id": None, "parameters": None, "outputs": None, "more": 1},
    tensors(power={"shape": [1, 1], "data": [[2]]}, weight={"data": [7]}),
    tensors(power={"datatype": "INT8", "data": [-128]}, cylinders={"datatype": "FP32", "data": [4.0]}),
    tensors(power={"datatype": "BOOL", "data": [True]}, turbo={"datatype": "UINT8", "data": [1]}),
    {**tensors(), "outputs": [{"name": "predict_proba", "parameters": {"binary_data": True}}]},
    tensors(weight=None),
    {"inputs": [*tensors()["inputs"], IGNORED_TENSOR]},
    {"inputs": [{**IGNORED_TENSOR, "data": 5}, *tensors(weight=None)["inputs"]]},
]
REFUSED: list[Any] = [
    None,
    [],
    {},
    {"inputs": []},
    tensors(power=None, weight=None),
    {"inputs": [IGNORED_TENSOR]},
    {"inputs": [*tensors()["inputs"], {**IGNORED_TENSOR, "shape": 1}]},
    {"inputs": [*tensors()["inputs"], {**IGNORED_TENSOR, "name": "comment"}]},
    tensors(power={"name": "speed"}),
    tensors(power={"data": [None]}),
    tensors(power={"data": ["1"]}),
    tensors(power={"data": [True]}),
    tensors(power={"data": [3.5e38]}),
    tensors(power={"data": []}),
    tensors(power={"data": [[[1]]]}),
    tensors(power={"data": {"0": 1}}),
    tensors(power={"shape": []}),
    tensors(power={"shape": [0], "data": []}),
    tensors(power={"shape": [-1]}),
    tensors(power={"shape": [1, 2], "data": [1, 2]}),
    tensors(power={"shape": [1, 1, 1]}),
    tensors(power={"shape": "1"}),
    tensors(power={"datatype": "FP16"}),
    tensors(power={"datatype": "BYTES", "data": ["1"]}),
    tensors(power={"datatype": "fp64"}),
    tensors(power={"datatype": "UINT8", "data": [256]}),
    tensors(power={"parameters": 1}),
    tensors(cylinders={"data": [1.5]}),
    tensors(cylinders={"datatype": "FP64", "data": [1.5]}),
    tensors(turbo={"data": [1]}),
    tensors(turbo={"datatype": "INT8", "data": [2]}),
    tensors(origin={"data": [1]}),
    tensors(origin={"data": [None]}),
    tensors(origin={"datatype": "FP64", "data": [1]}),
    {**tensors(), "id": 1},
    {**tensors(), "outputs": [{"name": "other"}]},
    {**tensors(), "parameters": []},
    {"inputs": [{"name": "matrix", "shape": [1, 5], "datatype": "FP64", "data": [1, 2, 3, 4, 5]}]},
]


@pytest.mark.parametrize("body", TAKEN)
def test_infer_bodies_that_are_taken(mixed: Both, body: Any) -> None:
    assert mixed.taken(INFER, body) == (True, True)


@pytest.mark.parametrize("body", REFUSED)
def test_infer_bodies_that_are_refused(mixed: Both, body: Any) -> None:
    assert mixed.taken(INFER, body) == (False, False)


def matrix(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "all", "shape": [1, 3], "datatype": "FP32", "data": [1, None, 2], **changes}]}


def test_a_matrix_is_taken_when_all_features_are_numbers(numbers: Both) -> None:
    both = numbers
    for body in (matrix(), matrix(data=[[1.5, 2.5, 3]]), matrix(datatype="INT16", data=[1, 2, -3])):
        assert both.taken(INFER, body) == (True, True), body
    for body in (
        matrix(shape=[1, 2], data=[1, 2]),
        matrix(data=[[1, 2], [3]]),
        matrix(data=["1", 2, 3]),
        matrix(datatype="BYTES", data=["1", "2", "3"]),
        matrix(datatype="UINT8", data=[-1, 2, 3]),
        {"inputs": matrix()["inputs"] * 2},
    ):
        assert both.taken(INFER, body) == (False, False), body


ROW = {"power": 1.5, "weight": None, "cylinders": 4, "turbo": True, "origin": "USA"}
LIST = list(ROW.values())
PREDICT_TAKEN: list[dict[str, Any]] = [
    {"instances": [ROW]},
    {"instances": [LIST, LIST], "signature_name": "any"},
    {"inputs": [ROW, ROW]},
    {"inputs": {**ROW, "weight": [3]}},
    {"instances": [{**ROW, "cylinders": 4.0, "turbo": 1}]},
    {"instances": [{**ROW, "signup": "2026-01-01"}, ROW]},
    {"inputs": {**ROW, "signup": ["2026-01-01"], "mileage": {"km": 1}}},
    {"inputs": [{name: value for name, value in ROW.items() if name != "weight"}]},
]
PREDICT_REFUSED: list[Any] = [
    {"instances": [{**ROW, "cylinders": 1 << 63}]},
    {},
    {"instances": [ROW], "inputs": [ROW]},
    {"instances": ROW},
    {"instances": []},
    {"instances": [ROW, LIST]},
    {"instances": [LIST[:4]]},
    {"instances": [[*LIST, 1]]},
    {"instances": [LIST[::-1]]},
    {"instances": [{**ROW, "more": 1}]},
    {"instances": [{**ROW, "power": None}]},
    {"instances": [{**ROW, "power": True}]},
    {"instances": [{**ROW, "turbo": 2}]},
    {"instances": [{**ROW, "cylinders": 1.5}]},
    {"inputs": {"power": 1.5}},
    {"inputs": {**ROW, "power": []}},
    {"inputs": 1},
]


@pytest.mark.parametrize("path", ["/v1/models/fuel:predict", "/invocations"])
@pytest.mark.parametrize("body", PREDICT_TAKEN)
def test_rows_that_are_taken(mixed: Both, path: str, body: Any) -> None:
    assert mixed.taken(path, body) == (True, True)


@pytest.mark.parametrize("path", ["/v1/models/fuel:predict", "/invocations"])
@pytest.mark.parametrize("body", PREDICT_REFUSED)
def test_rows_that_are_refused(mixed: Both, path: str, body: Any) -> None:
    assert mixed.taken(path, body) == (False, False)


def test_split_frames(mixed: Both) -> None:
    names = list(ROW)
    for split in (
        {"columns": names, "data": [LIST]},
        {"columns": names[::-1], "data": [LIST[::-1]], "index": [0]},
        {"data": [LIST]},
        {"columns": [*names, "signup"], "data": [[*LIST, "2026-01-01"]]},
        {"columns": [name for name in names if name != "weight"], "data": [[1.5, 4, True, "USA"]]},
    ):
        assert mixed.taken("/invocations", {"dataframe_split": split}) == (True, True), split
    for split in (
        {"columns": names},
        {"columns": names[:3], "data": [LIST[:3]]},
        {"columns": [*names, "more"], "data": [[*LIST, 1]]},
        {"columns": [*names[:4], "power"], "data": [LIST]},
        {"columns": names, "data": []},
        {"columns": names, "data": [LIST[:3]]},
        {"data": [LIST[::-1]]},
        {"data": [ROW]},
    ):
        assert mixed.taken("/invocations", {"dataframe_split": split}) == (False, False), split


def test_what_only_the_reader_can_say(mixed: Both) -> None:
    """A schema counts the columns and cannot ask for each that is needed."""
    for path, body in (
        (INFER, tensors(power=None)),
        ("/invocations", {"dataframe_split": {"columns": list(ROW)[:4], "data": [LIST[:4]]}}),
        ("/invocations", {"dataframe_split": {"columns": list(ROW), "data": [LIST[:4]]}}),
    ):
        assert mixed.taken(path, body) == (True, False), body


def test_answers_are_those_of_the_outputs() -> None:
    document = made()
    schemas = document["components"]["schemas"]
    predictions = schemas["Predictions"]["properties"]["predictions"]
    assert jsonschema_rs.is_valid(predictions, ["yes"])
    assert not jsonschema_rs.is_valid(predictions, ["maybe"])
    chances = schemas["InferAnswer"]["properties"]["outputs"]["items"]["anyOf"][1]
    good = {"name": "predict_proba", "datatype": "FP64", "shape": [1, 2], "data": [0.25, 0.75]}
    assert jsonschema_rs.is_valid(chances, good)
    assert not jsonschema_rs.is_valid(chances, {**good, "shape": [2]})


def test_a_document_of_many_features_stays_small() -> None:
    inputs = tuple(Tensor(f"feature {index}", "FP64", (-1,)) for index in range(500))
    assert len(json.dumps(made(inputs))) < 400_000


def test_an_unknown_datatype_is_named() -> None:
    with pytest.raises(ValueError, match="power"):
        made((Tensor("power", "BF16", (-1,)),))
