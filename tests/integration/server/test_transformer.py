"""A model with several outputs, none of which is called `predict`, and none of which is one value per row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from skops.io import dump

from hack.artifacts import profile_column, write_manifest
from modelmill.contracts.artifact import Golden, Profile, Signature, Tensor, canonical
from tests.support.model_server import Launcher, Running

COMPONENTS = 2


def write_transformer(folder: Path, form: str) -> tuple[Any, Any]:
    """Write an artifact of a PCA and return the transformer with its rows."""
    frame = load_iris(as_frame=True).data.astype(float)
    fitted = PCA(COMPONENTS).fit(frame.to_numpy())
    folder.mkdir()
    if form == "onnx":
        types = [("features", FloatTensorType([None, frame.shape[1]]))]
        (folder / "model.onnx").write_bytes(to_onnx(fitted, initial_types=types, target_opset=17).SerializeToString())
    else:
        dump(fitted, folder / "model.skops")
    inputs = tuple(Tensor(str(name), "FP64", (-1,)) for name in frame)
    signature = Signature("transformation", inputs, (Tensor("transform", "FP64", (-1, COMPONENTS)),))
    features = {str(name): profile_column(frame[name], 0.0) for name in frame}
    golden = Golden(
        {str(name): frame[name].head(5).tolist() for name in frame},
        {"transform": fitted.transform(frame.head(5).to_numpy()).tolist()},
        absolute=1e-3,
    )
    (folder / "profile.json").write_bytes(canonical(Profile(features, None, len(frame))))
    (folder / "golden.json").write_bytes(canonical(golden))
    write_manifest(folder, form, signature)
    return fitted, frame.to_numpy()[40:47]


@pytest.fixture(params=["onnx", "skops"])
def served(request: pytest.FixtureRequest, launch: Launcher, tmp_path: Path) -> tuple[Running, Any, Any]:
    fitted, rows = write_transformer(tmp_path / "artifact", request.param)
    return launch(tmp_path / "artifact"), fitted, rows


def test_a_transformer_is_served_by_every_protocol(served: tuple[Running, Any, Any]) -> None:
    server, fitted, rows = served
    want = fitted.transform(rows)
    tensor = {"name": "x", "shape": list(rows.shape), "datatype": "FP64", "data": rows.tolist()}
    answer = server.post("/v2/models/demo/infer", {"inputs": [tensor]})
    (output,) = answer.json()["outputs"]
    assert (output["name"], output["shape"]) == ("transform", list(want.shape))
    np.testing.assert_allclose(np.reshape(output["data"], want.shape), want, atol=1e-3)
    for path in ("/v1/models/demo:predict", "/invocations"):
        predictions = server.post(path, {"instances": rows.tolist()}).json()["predictions"]
        np.testing.assert_allclose(predictions, want, atol=1e-3)
    assert "modelmill-feedback-id" not in answer.headers
    assert "modelmill_prediction_bin_total" not in server.get("/metrics").body.decode()
    refused = server.post("/v1/models/demo:explain", {"instances": rows.tolist()})
    assert refused.status == 501
    assert "not one number for each row" in refused.json()["error"]
