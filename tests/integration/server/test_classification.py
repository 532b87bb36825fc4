"""Triton's classification extension: the greatest values of an output as texts, over HTTP in both forms and over gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from hack.artifacts import write_artifact
from modelmill_server.protocols import inference_pb2 as pb
from tests.support.grpc_calls import Stub
from tests.support.model_server import Launcher, Running, free_port

INFER = "/v2/models/iris/infer"


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def rows() -> Any:
    return load_iris(as_frame=True).data.iloc[[0, 60, 120]]


@pytest.fixture(scope="module")
def server(port: int, launch_shared: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Running:
    data = load_iris(as_frame=True)
    folder: Path = tmp_path_factory.mktemp("artifact") / "iris"
    names = data.target_names[data.target]
    write_artifact(folder, LogisticRegression(max_iter=500).fit(data.data, names), data.data, matrix=True)
    return launch_shared(folder, MODEL_NAME="iris", GRPC_PORT=str(port))


def asked(rows: Any, *outputs: dict[str, Any]) -> dict[str, Any]:
    values = rows.to_numpy()
    tensor = {"name": "input-0", "shape": list(values.shape), "datatype": "FP64", "data": values.tolist()}
    return {"inputs": [tensor], "outputs": list(outputs)}


def chosen(count: Any, name: str = "predict_proba", **more: Any) -> dict[str, Any]:
    return {"name": name, "parameters": {"classification": count, **more}}


def expected(server: Running, rows: Any, count: int) -> list[str]:
    answer = server.post(INFER, asked(rows, {"name": "predict_proba"})).json()["outputs"][0]
    scores = np.array(answer["data"]).reshape(answer["shape"])
    classes = ("setosa", "versicolor", "virginica")
    order = [sorted(range(3), key=lambda at, row=row: -row[at])[:count] for row in scores]
    return [f"{row[at]:f}:{at}:{classes[at]}" for row, places in zip(scores, order, strict=True) for at in places]


@pytest.mark.parametrize(("count", "given"), [(1, 1), (2, 2), (3, 3), (10**18, 3)])
def test_the_greatest_first(server: Running, rows: Any, count: int, given: int) -> None:
    answer = server.post(INFER, asked(rows, {"name": "predict"}, chosen(count))).json()
    labels, ranks = answer["outputs"]
    assert (ranks["name"], ranks["datatype"], ranks["shape"]) == ("predict_proba", "BYTES", [3, given])
    assert ranks["data"] == expected(server, rows, given)
    assert [text.split(":")[2] for text in ranks["data"][::given]] == labels["data"]


def test_in_binary_form_and_over_grpc(server: Running, rows: Any, port: int) -> None:
    want = [text.encode() for text in expected(server, rows, 2)]
    answer = server.post(INFER, asked(rows, chosen(2, binary_data=True)))
    tail = answer.body[int(answer.headers["inference-header-content-length"]) :]
    assert tail == b"".join(len(text).to_bytes(4, "little") + text for text in want)
    request = pb.ModelInferRequest(model_name="iris")
    request.inputs.add(name="input-0", datatype="FP64", shape=rows.shape)
    request.outputs.add(name="predict_proba").parameters["classification"].int64_param = 2
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request.raw_input_contents.append(rows.to_numpy().tobytes())
        (content,) = Stub(channel)("ModelInfer", request).raw_output_contents
        assert content == tail
        del request.raw_input_contents[:]
        request.inputs[0].contents.fp64_contents.extend(rows.to_numpy().reshape(-1))
        (output,) = Stub(channel)("ModelInfer", request).outputs
        assert (output.datatype, list(output.shape), list(output.contents.bytes_contents)) == ("BYTES", [3, 2], want)


def test_none_is_as_if_it_was_not_asked_for(server: Running, rows: Any) -> None:
    plain = server.post(INFER, asked(rows, {"name": "predict_proba"})).json()["outputs"]
    assert server.post(INFER, asked(rows, chosen(0))).json()["outputs"] == plain


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (chosen(1, "predict"), "ask for classification of predict_proba"),
        (chosen(-1), "must be the number of classes"),
        (chosen(True), "must be the number of classes"),
        (chosen("2"), "must be the number of classes"),
        (chosen(1.5), "must be the number of classes"),
        (chosen([1]), "must be the number of classes"),
    ],
)
def test_what_cannot_be_ranked(server: Running, rows: Any, output: dict[str, Any], words: str) -> None:
    answer = server.post(INFER, asked(rows, output))
    assert (answer.status, words in answer.json()["error"]) == (400, True)


def test_versions_by_number_and_sample_names_of_others_are_answered_with_the_mend(server: Running, rows: Any) -> None:
    for path in (
        "/v2/models/iris/versions/1",
        "/v2/models/iris/versions/1/infer",
        "/v1/models/iris/versions/1:predict",
    ):
        answer = server.get(path)
        assert answer.status == 404
        assert "unknown version '1': this server has 'demo-1'" in answer.json()["error"]
        assert "leave the version out" in answer.json()["error"]
    assert "this server has 'iris'" in server.post("/v2/models/sklearn-iris/infer", asked(rows)).json()["error"]
    assert (
        "the model has predict, predict_proba" in server.post(INFER, asked(rows, {"name": "output-0"})).json()["error"]
    )
    narrow = asked(rows.iloc[:, :3])
    assert (
        "has 3 columns: the model takes 4 features, the inputs 'sepal length"
        in server.post(INFER, narrow).json()["error"]
    )
    narrow["inputs"][0].update(shape=[9], data=[1.0] * 9)
    assert (
        "unknown input 'input-0': the model takes the inputs 'sepal length"
        in server.post(INFER, narrow).json()["error"]
    )


def test_labels_are_counted_by_class_and_by_confidence(server: Running, rows: Any) -> None:
    answer = server.post(INFER, asked(rows)).json()
    labels, scores = (output["data"] for output in answer["outputs"])
    right = ["setosa", "setosa", "no iris"]
    sent = {"id": answer["parameters"]["feedback_id"], "labels": right}
    assert server.post("/feedback", sent).json() == {"accepted": 3, "implausible": 1}
    for row, (label, actual) in enumerate(zip(labels, ["setosa", "setosa", "other"], strict=True)):
        assert server.metric("modelmill_feedback_cell_total", predicted=label, actual=actual) == 1
        place = int(max(scores[3 * row : 3 * row + 3]) * 10)
        result = "correct" if label == right[row] else "wrong"
        assert server.metric("modelmill_feedback_confidence_total", bin=str(place), result=result) >= 1
    assert server.metric("modelmill_feedback_confidence_total") == 3
    assert server.metric("modelmill_feedback_delay_seconds_count") == 3
    # A request for labels alone computes no probability.
    alone = server.post(INFER, asked(rows, {"name": "predict"})).json()
    assert server.post("/feedback", {"id": alone["parameters"]["feedback_id"], "labels": right}).status == 200
    assert server.metric("modelmill_feedback_confidence_total") == 3
    assert server.metric("modelmill_feedback_cell_total") == 6
