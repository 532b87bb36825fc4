"""Requests of the Open Inference Protocol."""

from __future__ import annotations

from typing import Any

INFER = "/v2/models/fuel/infer"
GOOD = {"power": 100.0, "cylinders": 4, "origin": "USA"}
TYPES = {"power": "FP64", "cylinders": "INT64", "origin": "BYTES"}


def request(**changes: Any) -> dict[str, Any]:
    """Return a good one-row request; `name=tensor` replaces that tensor, `name=None` leaves it out."""
    tensors = {name: tensor(name, [value]) for name, value in GOOD.items()} | changes
    return {"inputs": [item for item in tensors.values() if item is not None]}


def tensor(name: str, data: Any, datatype: str | None = None, shape: Any = None) -> dict[str, Any]:
    shape = [len(data)] if shape is None else shape
    return {"name": name, "shape": shape, "datatype": datatype or TYPES.get(name, "FP64"), "data": data}
