"""Rows asked of a served model by the Open Inference Protocol, a tensor for each feature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def plain(value: Any) -> Any:
    return None if value is None or value != value else value


def asked_of(server: Any, rows: pd.DataFrame, model: str = "cars") -> dict[str, Any]:
    metadata = server.get(f"/v2/models/{model}").json()
    inputs = [
        {
            "name": one["name"],
            "datatype": one["datatype"],
            "shape": [len(rows)],
            "data": [plain(value) for value in rows[one["name"]].astype(object)],
        }
        for one in metadata["inputs"]
    ]
    answer = server.post(f"/v2/models/{model}/infer", {"inputs": inputs})
    assert answer.status == 200, answer.body
    return {one["name"]: np.reshape(one["data"], one["shape"]) for one in answer.json()["outputs"]}
