"""JSON request bodies: strict, with two allowances: the bare NaN that Python's own json module writes, and the byte order mark
that some programs put in front (RFC 8259, 8.1). Both are read a second time, slowly.
"""

from __future__ import annotations

import json
import math
import sys
from codecs import BOM_UTF8
from typing import Any, TypeVar

import msgspec

from modelmill_server.queries.columns import RejectedError, bad

T = TypeVar("T")
OUT_OF_RANGE = "ut of range"  # of a number, in msgspec's words
MANY_DIGITS = 19  # a whole number may be beyond 64 bits


def decode(decoder: msgspec.json.Decoder[T], body: bytes, *, huge: bool = True, again: bool = False) -> T:
    """Return the decoded body, NaN read as null. Raises RejectedError (400).

    huge: a number beyond what a float holds is read as the largest, for a reader that refuses that with its place. again: the
    body was read a second time.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        if again or not huge or OUT_OF_RANGE not in str(error):
            raise bad(f"the request does not have the right form: {error}") from None
    except msgspec.DecodeError as error:
        if again or (b"NaN" not in body and b"Infinity" not in body and not body.startswith(BOM_UTF8)):
            raise bad(f"the request is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise bad("the request is not UTF-8") from None
    except RecursionError:
        raise too_deep() from None
    return decode(decoder, _plain(body), again=True)


def too_deep() -> RejectedError:
    """Return the 400 for a document whose nesting has no end in sight."""
    return bad("the request is nested too deeply")


def _plain(body: bytes) -> bytes:
    try:
        document = json.loads(body, parse_constant=_constant, parse_float=_finite, parse_int=_whole)
        return msgspec.json.encode(document)
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad(f"the request is not valid JSON: {error}") from None
    except RecursionError:
        raise too_deep() from None


def _constant(name: str) -> Any:
    if name == "NaN":
        return None
    raise bad(f"{name} is not a value that a model can take; a missing value is null", None, "range")


def _finite(text: str) -> float:
    """Return the number; one that no float holds as the largest, which is then refused with its feature and row."""
    value = float(text)
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def _whole(text: str) -> int | float:
    return int(text) if len(text) < MANY_DIGITS else _finite(text)
