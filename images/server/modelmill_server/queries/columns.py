"""Features as requests bring them: one column per feature, strictly checked, in the order of the signature."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from modelmill.contracts.artifact import Tensor

Column = list[Any] | Any
"""One value per row: a list of float, int, bool or str with None where missing, or, from VECTOR_ROWS rows on, a 1-D numpy
array of a number type with NaN where missing."""

VECTOR_ROWS = 48  # from here on numpy is faster than a loop (measured, one numeric feature)
# The largest finite FP32: models take single precision, beyond it a number would become infinite.
LARGEST = 3.4028234e38
DOUBLE_BYTES = 8
FLOAT_BOUND = 2**53  # whole numbers up to here have a float of their own
Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
FLOAT, INT, BOOL, TEXT = "float", "int", "bool", "text"
FAMILY = {
    "BOOL": BOOL, "BYTES": TEXT, "FP16": FLOAT, "FP32": FLOAT, "FP64": FLOAT,
    "INT8": INT, "INT16": INT, "INT32": INT, "INT64": INT, "UINT8": INT, "UINT16": INT, "UINT32": INT, "UINT64": INT,
}  # fmt: skip
TYPES: dict[str, Any] = {FLOAT: Number, BOOL: bool, TEXT: str}
BOUNDS: dict[str, tuple[int, int]] = {}
for _name in [name for name, family in FAMILY.items() if family == INT]:
    _bits, _signed = int(_name.lstrip("UINT")), not _name.startswith("U")
    BOUNDS[_name] = (-(1 << _bits - 1), (1 << _bits - 1) - 1) if _signed else (0, (1 << _bits) - 1)
    # A bound of msgspec is an int64 at most, so UINT64 is left to numpy.
    _low, _high = (-(1 << _bits - 1), (1 << _bits - 1) - 1) if _signed else (0, min((1 << _bits) - 1, (1 << 63) - 1))
    TYPES[_name] = Annotated[int, Meta(ge=_low, le=_high)]
SPOKEN = {FLOAT: "a number", INT: "a whole number", BOOL: "true or false", TEXT: "text"}

_NESTED = re.compile(rb"\s*\[\s*\[")
_WRONG_TYPE = re.compile(r"Expected `([^`]+)`, got `(\w+)`")
_BOUND = re.compile(r"Expected `(\w+)` (>=|<=) ")
_ROW = re.compile(r"`\$\[(\d+)\]")


class RejectedError(Exception):
    """A request that is not answered with a prediction.

    status: HTTP status. feature, reason: what is counted as an invalid value; reason is one of missing, unknown, type, null,
    range, shape.
    """

    def __init__(self, status: int, message: str, feature: str | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.feature = feature
        self.reason = reason


def bad(message: str, feature: str | None = None, reason: str | None = None) -> RejectedError:
    """Return a 400."""
    return RejectedError(400, message, feature, reason)


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the model. family: float, int, bool or text; categorical: only equal values mean the same."""

    name: str
    index: int
    datatype: str
    family: str
    nullable: bool
    categorical: bool

    @property
    def type(self) -> Any:
        """The element type that values of this feature have, for msgspec."""
        kind = TYPES[self.datatype if self.family == INT else self.family]
        return kind | None if self.nullable else kind


def features_of(inputs: Sequence[Tensor]) -> tuple[Feature, ...]:
    """Return the features of a signature. Raises ValueError naming the input with a datatype that is not known."""
    features = []
    for index, tensor in enumerate(inputs):
        family = FAMILY.get(tensor.datatype)
        if family is None:
            raise ValueError(f"input {tensor.name!r} has the unknown datatype {tensor.datatype!r}")
        features.append(
            Feature(tensor.name, index, tensor.datatype, family, tensor.nullable, tensor.kind == "categorical")
        )
    return tuple(features)


class Decoders:
    """Strict JSON decoders for tensor data, by (declared datatype, nullable, nested); made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, bool, bool], msgspec.json.Decoder[Any]] = {}
        for datatype, family in FAMILY.items():
            for nullable in (False, True):
                kind = TYPES[datatype if family == INT else family]
                item = kind | None if nullable else kind
                self._made[datatype, nullable, False] = msgspec.json.Decoder(list[item])  # type: ignore[valid-type]
                self._made[datatype, nullable, True] = msgspec.json.Decoder(list[list[item]])  # type: ignore[valid-type]

    def decode(self, data: msgspec.Raw, datatype: str, *, nullable: bool) -> tuple[Column, bool]:
        """Return the values and whether they are nested once. Raises msgspec.ValidationError, msgspec.DecodeError."""
        nested = nested_rows(data)
        return self._made[datatype, nullable, nested].decode(data), nested


def nested_rows(data: msgspec.Raw) -> bool:
    """Return whether tensor data is given as a list of rows."""
    return _NESTED.match(data) is not None


def to_family(feature: Feature, declared: str, values: Column) -> Column:
    """Return values of another declared datatype as the feature's own.

    Raises RejectedError when that would lose something.
    """
    family = FAMILY[declared]
    if family == feature.family == INT and declared != feature.datatype:
        _require_bounds(feature, values)
    if family == feature.family or (feature.family == FLOAT and family == INT and not feature.categorical):
        return values
    if TEXT in (family, feature.family):
        raise bad(
            f"input {feature.name!r} has datatype {declared}: the model takes {feature.datatype}", feature.name, "type"
        )
    if isinstance(values, np.ndarray):
        if feature.family == FLOAT:
            return values.astype(np.float64)
        values = _with_none(values)
    if feature.family == FLOAT:
        return [None if value is None else float(value) for value in values]
    if feature.family == INT:
        _require_bounds(feature, values)
    for row, value in enumerate(values):
        whole = value is None or value == int(value)
        if not whole or (feature.family == BOOL and value not in (0, 1, None)):
            raise bad(
                f"input {feature.name!r} is {value!r} at row {row}: it must be {SPOKEN[feature.family]}",
                feature.name,
                "type",
            )
    made = bool if feature.family == BOOL else int
    return [None if value is None else made(value) for value in values]


def taken_as_is(feature: Feature, declared: str) -> bool:
    """Return whether `to_family` gives back what it is given, whatever the values are."""
    family = FAMILY[declared]
    if feature.family == FLOAT and family == INT:
        return not feature.categorical
    return declared == feature.datatype or family == feature.family != INT


def _require_bounds(feature: Feature, values: Column) -> None:
    """Raise RejectedError for the first number that the feature's type of whole numbers does not have."""
    low, high = BOUNDS[feature.datatype]
    if isinstance(values, np.ndarray) and (not len(values) or (int(values.min()) >= low and int(values.max()) <= high)):
        return
    for row, value in enumerate(values):
        # A float is compared as the whole number that it will become: the greatest of 64 bits has no float of its own.
        if value is not None and not low <= (value if abs(value) < FLOAT_BOUND else int(value)) <= high:
            raise _outside(feature, row)


def from_array(feature: Feature, declared: str, values: Any) -> Column:
    """Return a column from a 1-D array of the declared number type; a short one becomes a list.

    Raises RejectedError naming the feature and the row for a NaN that the model does not take, for infinity, and for a
    number beyond FP32.
    """
    if len(values) < VECTOR_ROWS:
        return from_short(feature, declared, values.tolist())
    if values.dtype.kind == "f":
        outside = np.abs(values) > LARGEST if values.dtype.itemsize == DOUBLE_BYTES else np.isinf(values)
        if outside.any():
            raise _outside(feature, int(outside.argmax()))
        if not feature.nullable:
            lost = np.isnan(values)
            if lost.any():
                raise missing(feature, int(lost.argmax()))
    return to_family(feature, declared, values)


def from_matrix(features: Sequence[Feature], declared: str, values: Any) -> list[Column]:
    """Return the columns of all features from an array [rows, features] of the declared number type, as `from_array` does."""
    if len(values) < VECTOR_ROWS:
        columns = values.T.tolist()
        return [from_short(feature, declared, column) for feature, column in zip(features, columns, strict=True)]
    plain = FAMILY[declared] == FLOAT and all(feature.family == FLOAT for feature in features)
    # NaN is not between any bounds either.
    if plain and float(values.min()) >= -LARGEST and float(values.max()) <= LARGEST:
        return list(values.T)
    return [from_array(feature, declared, values[:, feature.index]) for feature in features]


def from_short(feature: Feature, declared: str, values: list[Any]) -> Column:
    """Return a column from the values of a short array, as `from_array` does."""
    if FAMILY[declared] == FLOAT:
        for row, value in enumerate(values):
            if value != value:
                if not feature.nullable:
                    raise missing(feature, row)
                values[row] = None
            elif not -LARGEST <= value <= LARGEST:
                raise _outside(feature, row)
    return to_family(feature, declared, values)


def _outside(feature: Feature, row: int) -> RejectedError:
    return bad(f"input {feature.name!r} has a number out of range at row {row}", feature.name, "range")


def _with_none(values: Any) -> list[Any]:
    """Return an array as a list with None for NaN."""
    plain: list[Any] = values.tolist()
    return [None if value != value else value for value in plain] if values.dtype.kind == "f" else plain


def missing(feature: Feature, row: int) -> RejectedError:
    """Return the 400 for a missing value where the model needs one."""
    return bad(
        f"input {feature.name!r} is missing (null or NaN) at row {row}: the model needs a value", feature.name, "null"
    )


def from_python(feature: Feature, values: Any) -> Column:
    """Return a column from decoded JSON values. Raises RejectedError naming the feature and the row."""
    try:
        return msgspec.convert(values, list[feature.type])  # type: ignore[name-defined]
    except msgspec.ValidationError as error:
        # Beyond 53 bits a whole number would be rounded on its way through a float.
        exact = isinstance(values, list) and all(
            type(value) is not int or abs(value) <= FLOAT_BOUND for value in values
        )
        if feature.family in (INT, BOOL) and exact:
            # A frame with gaps has its whole numbers as 3.0; JSON of another language has 1 for true.
            kind = Number | None if feature.nullable else Number
            try:
                return to_family(feature, "FP64", msgspec.convert(values, list[kind]))  # type: ignore[valid-type]
            except msgspec.ValidationError:
                pass
        raise explain(error, feature.name, feature.datatype) from None


def explain(error: Exception, name: str, datatype: str, width: int = 1) -> RejectedError:
    """Return the 400 that says in a person's words what msgspec found wrong in values of this datatype, `width` a row."""
    text = str(error)
    row = _ROW.search(text)
    where = f" at row {int(row[1]) // width}" if row else ""
    wanted = SPOKEN[FAMILY[datatype]]
    wrong = _WRONG_TYPE.search(text)
    if wrong and wrong[2] == "null":
        return bad(f"input {name!r} is missing (null or NaN){where}: the model needs a value", name, "null")
    if wrong:
        got = {"str": "text", "bool": "true or false", "float": "a number with a fraction"}.get(wrong[2], wrong[2])
        reason = "shape" if wrong[2] in ("array", "object") else "type"
        return bad(f"input {name!r} has {got}{where}: it must be {wanted}", name, reason)
    if "out of range" in text or _BOUND.search(text):
        return bad(f"input {name!r} has a number out of range{where}", name, "range")
    return bad(f"input {name!r}: {text}", name, "type")
