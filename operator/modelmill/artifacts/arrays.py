"""Arrays of numpy in files: the header is held against the bytes before an array is made of them.

Source: NEP 1, numpy's .npy format; scipy.sparse.save_npz for sparse matrices.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib import format as npy

from modelmill.artifacts.archive import Archive
from modelmill.artifacts.limits import ArtifactInvalid, Limits

MAX_HEADER = 10_000
KINDS = "biufcUSMmV"

Array = np.ndarray[Any, Any]


def read_array(content: bytes, name: str) -> Array:
    """Return the array of an .npy file, a view of its bytes. Raises ArtifactInvalid when header and bytes disagree."""
    stream = io.BytesIO(content)
    try:
        version = npy.read_magic(stream)
        # Of version 3 the names of fields are in UTF-8 instead of Latin-1, which changes no size.
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=MAX_HEADER)
    except Exception as error:  # the header is read by Python's tokenizer and parser, which fail in many ways
        raise ArtifactInvalid(f"{name} is no array: {error}") from None
    if dtype.hasobject or dtype.kind not in KINDS:
        raise ArtifactInvalid(f"{name} is an array of {dtype}, which has no plain form")
    begin = stream.tell()
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != len(content) - begin:
        raise ArtifactInvalid(f"{name} says shape {shape} of {dtype}, and has {len(content) - begin} bytes")
    if not dtype.itemsize and math.prod(shape) > 1:
        raise ArtifactInvalid(f"{name} is an array of values without size")
    flat = np.frombuffer(content, dtype, offset=begin, count=math.prod(shape)) if dtype.itemsize else np.zeros(1, dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


@dataclass(frozen=True, slots=True)
class Sparse:
    """A sparse matrix. stored: the number of values that it holds, zeros among them."""

    form: str
    shape: tuple[int, int]
    stored: int


def read_sparse(content: bytes, name: str, limits: Limits) -> Sparse:
    """Return what a file of scipy.sparse.save_npz holds. Raises ArtifactInvalid when an index leads out of the matrix."""
    with Archive.of(content, name, limits) as archive:
        found = {
            entry.removesuffix(".npy"): read_array(archive.read(entry), f"{name}, {entry}") for entry in archive.entries
        }
    try:
        form = found["format"].item()
        form = form.decode("ascii", "replace") if isinstance(form, bytes) else str(form)
        rows, columns = (int(side) for side in found["shape"])
        data = found["data"]
        _require(
            0 <= rows <= _MOST and 0 <= columns <= _MOST and data.dtype.kind in "biufc",
            name,
            "a shape or values of another kind",
        )
        if form in ("csr", "csc"):
            major, minor = (rows, columns) if form == "csr" else (columns, rows)
            _require(data.ndim == 1, name, "values that are no row")
            _require_pointers(found["indptr"], major, len(data), name)
            _require_indices(found["indices"], minor, len(data), name)
        elif form == "coo":
            _require(data.ndim == 1, name, "values that are no row")
            _require_indices(found["row"], rows, len(data), name)
            _require_indices(found["col"], columns, len(data), name)
        elif form == "dia":
            offsets = found["offsets"]
            _require(
                data.ndim == 2 and offsets.shape == data.shape[:1] and offsets.dtype.kind == "i",
                name,
                "other offsets than values",
            )
        else:
            raise ArtifactInvalid(f"{name} is a sparse matrix of the form {form!r}: use csr, csc, coo or dia")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ArtifactInvalid(f"{name} is no sparse matrix: {type(error).__name__} {error}") from None
    return Sparse(form, (rows, columns), data.shape[0])


_MOST = 1 << 31


def _require(true: bool, name: str, what: str) -> None:
    if not true:
        raise ArtifactInvalid(f"{name} has {what}")


def _require_pointers(pointers: Array, rows: int, stored: int, name: str) -> None:
    _require(
        pointers.dtype.kind == "i" and pointers.shape == (rows + 1,),
        name,
        f"an indptr of shape {pointers.shape} for {rows} rows",
    )
    fitting = pointers[0] == 0 and pointers[-1] == stored and not (np.diff(pointers) < 0).any()
    _require(bool(fitting), name, f"an indptr that does not ascend from 0 to {stored}")


def _require_indices(indices: Array, most: int, stored: int, name: str) -> None:
    _require(
        indices.dtype.kind == "i" and indices.shape == (stored,), name, f"{indices.shape} indices for {stored} values"
    )
    inside = not stored or (indices.min() >= 0 and indices.max() < most)
    _require(bool(inside), name, f"indices out of the range from 0 to {most - 1}")
