"""Generated calls to every operation of the OpenAPI document: each answer is one that the document has.

MODELMILL_OPENAPI_CALLS sets the number of calls to each of the two models together; the data are the same in every run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from typing import Any

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sklearn.linear_model import LogisticRegression, Ridge

from hack.artifacts import write_artifact, write_manifest
from modelmill.contracts.artifact import Signature, parse_manifest
from tests.support.described import described
from tests.support.fitted import cars, on_columns
from tests.support.model_server import Launcher, Running

CALLS = int(os.environ.get("MODELMILL_OPENAPI_CALLS", "1500"))
MODELS = ("mixed", "numbers")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CONFIG = schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": [400, 413]}}})
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
LEAST_PREDICTED = 0.5  # of the bodies that are right as far as a schema can tell
KINDS = {"FP": float, "INT": int, "UINT": int, "BOOL": bool, "BYTES": str}


@dataclass
class Served:
    """A server with its signature and its document."""

    running: Running
    signature: Signature
    document: dict[str, Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"


@pytest.fixture(scope="module", params=MODELS)
def served(request: Any, tmp_path_factory: pytest.TempPathFactory, launch_shared: Launcher) -> Served:
    """A classifier of numbers and text that ignores two columns, and a regressor of numbers; both with gaps in a feature."""
    frame, target = cars("unknown")
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "mixed":
        labels = np.where(target > np.median(target), "thrifty", "thirsty")
        write_artifact(folder, on_columns(LogisticRegression(), frame).fit(frame, labels), frame)
        signature = parse_manifest((folder / "manifest.json").read_bytes()).signature
        write_manifest(folder, "onnx", replace(signature, ignored=("built", "mileage")))
    else:
        frame = frame.drop(columns="origin")
        write_artifact(folder, on_columns(Ridge(), frame).fit(frame, target), frame)
    running = launch_shared(folder)
    signature = parse_manifest((folder / "manifest.json").read_bytes()).signature
    return Served(running, signature, running.get("/openapi.json").json())


def test_document_is_that_of_the_model(served: Served) -> None:
    assert served.document == described("demo", "demo-1", served.signature)


def test_other_methods_are_refused(served: Served) -> None:
    seen = Counter[int]()
    for path, item in served.document["paths"].items():
        for method in METHODS:
            if method.lower() not in item:
                answer = served.running.call(method, path)
                assert (answer.status, list(answer.json())) == (405, ["error"]), (method, path)
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["allow"]
                seen[answer.status] += 1
    assert seen[405] == len(served.document["paths"]) * (len(METHODS) - 1)


@dataclass
class Calls:
    """Calls that were made: by path, mode, content type and status; and what was wrong with their answers."""

    served: Served
    session: requests.Session = field(default_factory=requests.Session)
    count: int = 0
    answers: Counter[tuple[str, str, str | None, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def make(self, case: Any, mode: GenerationMode) -> None:
        """Make one call and check its answer."""
        checks = CHECKS if mode == GenerationMode.POSITIVE else [*CHECKS, negative_data_rejection]
        answer = case.call(self.served.url, self.session)
        self.count += 1
        self.answers[case.operation.path, mode.value, case.media_type, answer.status_code] += 1
        try:
            case.validate_response(answer, checks=checks)
        except FailureGroup as failures:
            self.wrong += [f"{failure}\n{case.as_curl_command()}" for failure in failures.exceptions]
        if answer.status_code != 200 and answer.headers.get("content-type") != ["application/json"]:
            self.wrong.append(f"content-type {answer.headers.get('content-type')}\n{case.as_curl_command()}")

    def run(self, operation: Any, mode: GenerationMode, most: int) -> None:
        """Make `most` calls of one operation, fewer when there are not so many different ones."""

        @settings(
            max_examples=most,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), as_it_is=st.sampled_from([False] * 9 + [True]))
        def call(case: Any, as_it_is: bool) -> None:
            if mode == GenerationMode.POSITIVE and not as_it_is:
                repair(case, self.served.signature)
            self.make(case, mode)

        call()

    def share(self, path: str, status: int) -> float:
        """Return the share of the right JSON bodies for `path` that got this status."""
        right = (path, "positive", "application/json")
        found = {key[3]: count for key, count in self.answers.items() if key[:3] == right}
        return found.get(status, 0) / sum(found.values())


def test_every_answer_is_in_the_document(served: Served) -> None:
    operations = [
        found.ok() for found in schemathesis.openapi.from_dict(served.document, config=CONFIG).get_all_operations()
    ]
    asked = CALLS // len(MODELS)
    with_body = [operation for operation in operations if operation.body]
    calls = Calls(served)
    for operation in operations:
        if operation not in with_body:
            calls.run(operation, GenerationMode.POSITIVE, 1)
    assert calls.count == len(operations) - len(with_body) < asked
    runs = [(operation, mode) for operation in with_body for mode in GenerationMode]
    for place, (operation, mode) in enumerate(runs):
        calls.run(operation, mode, (asked - calls.count) // (len(runs) - place))
    wrong = sorted(calls.wrong, key=len)
    assert not wrong, f"{len(wrong)} answers are wrong, the shortest:\n" + "\n\n".join(wrong[:5])
    assert calls.count == asked == sum(calls.answers.values())
    answered = {key[3] for key in calls.answers}
    assert {200, 400} <= answered <= {200, 400, 404, 409, 413}
    for path in ("/v2/models/demo/infer", "/v1/models/demo:predict", "/v1/models/demo:explain", "/invocations"):
        assert calls.share(path, 200) > LEAST_PREDICTED, (path, calls.answers)
    assert served.running.process.poll() is None
    assert "Traceback" not in served.running.log.read_text()


def repair(case: Any, signature: Signature) -> None:
    """Make the body agree with itself where a schema cannot ask for it: as many values as the shape says, equal rows.

    JSON Schema also takes 3.0 for a whole number; a tensor of whole numbers is written without a fraction.
    """
    body = case.body
    case.headers.pop("Inference-Header-Content-Length", None)  # else generated apart from the body, and wrong
    if not isinstance(body, dict):
        return
    for name in ("instances", "inputs", "dataframe_records"):
        if isinstance(body.get(name), dict):
            columns = {key: item if isinstance(item, list) else [item] for key, item in body[name].items()}
            rows = len(next(iter(columns.values())))
            body[name] = {key: fill(item, rows) for key, item in columns.items()}
    tensors = body.get("inputs")
    if isinstance(tensors, list) and isinstance(tensors[0], dict) and "datatype" in tensors[0]:
        body["inputs"] = repaired_tensors(tensors, signature)


def repaired_tensors(tensors: list[dict[str, Any]], signature: Signature) -> list[dict[str, Any]]:
    """Return one tensor for each feature, made of those that were generated for features of its kind; or the matrix.

    What is ignored stays.
    """
    features = {feature.name: feature for feature in signature.inputs}
    columns = {*features, *signature.ignored}
    if tensors[0]["name"] not in columns or (len(tensors[0]["shape"]) == 2 and tensors[0]["shape"][1] != 1):
        return [{**tensors[0], **resized(tensors[0], None, len(features))}]
    ignored = [tensor for tensor in tensors if tensor["name"] in signature.ignored]
    rows = next((len(tensor["data"]) for tensor in tensors if tensor["name"] in features), 1)
    made = [{**tensor, "shape": [rows]} for tensor in ignored[: len(signature.ignored)]]
    for name, feature in features.items():
        alike = [
            tensor
            for tensor in tensors
            if tensor["name"] in features and kind(features[tensor["name"]]) == kind(feature)
        ]
        example = {"shape": [1], "datatype": feature.datatype, "data": [KINDS[kind(feature)[0]](1)]}
        if not alike and feature.nullable:
            continue  # it may be left out
        tensor = (alike or [example])[len(made) % (len(alike) or 1)]
        made.append({**tensor, "name": name, **resized(tensor, rows, 1)})
    return made


def kind(feature: Any) -> tuple[str, bool]:
    return re.sub(r"\d", "", feature.datatype), feature.nullable


def resized(tensor: dict[str, Any], rows: int | None, width: int) -> dict[str, Any]:
    """Return data and shape of a tensor, with its values again and again until there are enough."""
    data = tensor["data"]
    nested = isinstance(data[0], list)
    if rows is None:
        rows = len(data) if nested else max(len(data) // width, 1)
    flat = [value for row in data for value in row] if nested else data
    if "INT" in tensor["datatype"]:
        flat = [int(value) if isinstance(value, float) else value for value in flat]
    values = fill(flat, rows * width)
    shape = [rows, *tensor["shape"][1:]]
    return {"shape": [int(side) for side in shape], "data": list(rows_of(values, width)) if nested else values}


def fill(values: list[Any], count: int) -> list[Any]:
    return list(islice(cycle(values), count))


def rows_of(values: list[Any], width: int) -> Iterator[list[Any]]:
    for begin in range(0, len(values), width):
        yield values[begin : begin + width]
