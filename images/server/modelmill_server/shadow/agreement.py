"""Whether two versions say the same: labels exactly, numbers within a tolerance. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np

from modelmill.contracts.shadow import Shadow
from modelmill_server.protocols.answers import BINARY_HEADER
from modelmill_server.protocols.binary import DTYPES

STATUS, SHAPE, VALUE = "status", "shape", "value"
REASONS: Final = (STATUS, SHAPE, VALUE)
_FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
_NUMBERS: Final = frozenset({float, int, type(None)})  # null is NaN
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class _Output:
    """One output of V2. data: decoded JSON, or the bytes of the binary form."""

    datatype: str
    shape: Any
    data: Any


def difference(
    live: tuple[bytes, dict[str, str]], other: tuple[bytes, dict[str, str]], tolerance: Shadow
) -> str | None:
    """Return how the other answer of status 200 differs, one of REASONS; None where they agree.

    Both are bodies with their headers, of V2, V1 or MLflow. Names, versions, ids and the order of outputs make no difference.
    Raises ValueError when the other cannot be read.
    """
    ours, theirs = _outputs(*live), _outputs(*other)
    if ours.keys() != theirs.keys():
        return SHAPE
    try:
        found = {_of_output(mine, theirs[name], tolerance) for name, mine in ours.items()}
    except (
        ValueError,
        OverflowError,
    ) as error:  # bytes that are no whole number of values, a number beyond every float
        raise ValueError(f"no numbers: {error}") from None
    return SHAPE if SHAPE in found else VALUE if VALUE in found else None


def _outputs(body: bytes, headers: dict[str, str]) -> dict[str, _Output]:
    """Return the outputs by name. Raises ValueError."""
    length = headers.get(BINARY_HEADER)
    try:
        end = len(body) if length is None else int(length)
        document = _decode(memoryview(body)[:end])
        if "predictions" in document:
            return {"predictions": _Output("", None, document["predictions"])}
        outputs = {}
        for one in document["outputs"]:
            data = one.get("data")
            size = (one.get("parameters") or {}).get("binary_data_size")
            if size is not None:
                data, end = body[end : end + size], end + size
            outputs[str(one["name"])] = _Output(one["datatype"], one["shape"], data)
    except (msgspec.DecodeError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ValueError(f"no answer of V2, V1 or MLflow: {error}") from None
    return outputs


def _of_output(live: _Output, other: _Output, tolerance: Shadow) -> str | None:
    if live.datatype != other.datatype or live.shape != other.shape:
        return SHAPE
    if isinstance(live.data, bytes) and isinstance(other.data, bytes):
        if live.data == other.data:
            return None
        if live.datatype not in _FLOATS:
            return VALUE
        if len(live.data) != len(other.data):
            return SHAPE
        dtype = DTYPES[live.datatype]
        return _of_numbers(np.frombuffer(live.data, dtype), np.frombuffer(other.data, dtype), tolerance)
    return _of_values(live.data, other.data, tolerance)


def _of_values(live: Any, other: Any, tolerance: Shadow) -> str | None:
    """Compare what JSON holds. Numbers are compared by tolerance where one has a fraction: others are labels."""
    if type(live) is not list or type(other) is not list:
        if type(live) is list or type(other) is list:
            return SHAPE
        return None if type(live) is type(other) and live == other else VALUE
    if len(live) != len(other):
        return SHAPE
    kinds = set(map(type, live)) | set(map(type, other))
    if float in kinds and kinds <= _NUMBERS:
        return _of_numbers(np.array(live, np.float64), np.array(other, np.float64), tolerance)
    found = {_of_values(mine, theirs, tolerance) for mine, theirs in zip(live, other, strict=True)}
    return SHAPE if SHAPE in found else VALUE if VALUE in found else None


def _of_numbers(live: Any, other: Any, tolerance: Shadow) -> str | None:
    mine, theirs = live.astype(np.float64), other.astype(np.float64)
    close = np.isclose(theirs, mine, tolerance.relative_tolerance, tolerance.absolute_tolerance, equal_nan=True)
    return None if bool(close.all()) else VALUE
