"""The binary tensor data extension: little-endian values after the JSON part, and BYTES as 4-byte length + bytes.

Source: open-inference-protocol and Triton, protocol/extension_binary_data.md. The values of `raw_input_contents` and
`raw_output_contents` of the gRPC protocol have the same form.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modelmill_server.queries.columns import RejectedError, bad

DTYPES = {
    "BOOL": np.dtype(np.bool_), "FP16": np.dtype("<f2"), "FP32": np.dtype("<f4"), "FP64": np.dtype("<f8"),
    "INT8": np.dtype("<i1"), "INT16": np.dtype("<i2"), "INT32": np.dtype("<i4"), "INT64": np.dtype("<i8"),
    "UINT8": np.dtype("<u1"), "UINT16": np.dtype("<u2"), "UINT32": np.dtype("<u4"), "UINT64": np.dtype("<u8"),
}  # fmt: skip
LENGTH_BYTES = 4


def split(body: bytes, json_bytes: int) -> tuple[bytes, memoryview]:
    """Return the JSON part and the rest. Raises RejectedError when the header says more than there is."""
    if not 0 <= json_bytes <= len(body):
        raise bad(f"Inference-Header-Content-Length is {json_bytes}: the body has {len(body)} bytes")
    return body[:json_bytes], memoryview(body)[json_bytes:]


def read(data: memoryview, datatype: str, name: str, most: int) -> Any:
    """Return the values of a tensor: a 1-D array over `data`, or a list of str for BYTES.

    Raises RejectedError naming the tensor when the bytes are no whole number of values, or not what `datatype` says, or hold
    more than `most` texts: each costs time, and an empty one only four bytes.
    """
    if datatype == "BYTES":
        return _texts(data, name, most)
    dtype = DTYPES[datatype]
    if len(data) % dtype.itemsize:
        raise _not_whole(data, datatype, name)
    if datatype == "BOOL":
        whole = np.frombuffer(data, np.uint8)
        if len(whole) and whole.max() > 1:
            raise bad(f"input {name!r} has a byte that is neither 0 nor 1: it must be true or false", name, "type")
    return np.frombuffer(data, dtype)


def write(array: Any, datatype: str) -> bytes:
    """Return the values of an output in row-major order."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array, DTYPES[datatype]).tobytes()
    parts: list[bytes] = []
    for value in array.reshape(-1).tolist():
        text = value if isinstance(value, bytes) else str(value).encode()
        parts += (len(text).to_bytes(LENGTH_BYTES, "little"), text)
    return b"".join(parts)


def _texts(data: memoryview, name: str, most: int) -> list[str]:
    texts: list[str] = []
    at, end = 0, len(data)
    while at < end:
        if len(texts) == most:
            raise bad(f"input {name!r} has more than the {most} values that its shape says", name, "shape")
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "little")
        if at > end or begin > end:
            raise _not_whole(data, "BYTES", name)
        try:
            texts.append(str(data[begin:at], "utf-8"))
        except UnicodeDecodeError:
            raise bad(f"input {name!r} has text that is not UTF-8 at row {len(texts)}", name, "type") from None
    return texts


def _not_whole(data: memoryview, datatype: str, name: str) -> RejectedError:
    return bad(f"input {name!r} has {len(data)} bytes: that is no whole number of {datatype} values", name, "shape")
