"""JSON request bodies: strict, with one allowance, the bare NaN that Python's own json module writes."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from modelmill_server.queries.columns import RejectedError, bad

T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Return the decoded body, NaN read as null. Raises RejectedError (400)."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad(f"the request does not have the right form: {error}") from None
    except msgspec.DecodeError as error:
        if b"NaN" not in body and b"Infinity" not in body:
            raise bad(f"the request is not valid JSON: {error}") from None
    except UnicodeDecodeError:
        raise bad("the request is not UTF-8") from None
    except RecursionError:
        raise too_deep() from None
    return decode(decoder, _without_nan(body))


def too_deep() -> RejectedError:
    """Return the 400 for a document whose nesting has no end in sight."""
    return bad("the request is nested too deeply")


def _without_nan(body: bytes) -> bytes:
    try:
        return msgspec.json.encode(json.loads(body, parse_constant=_constant))
    except (ValueError, msgspec.MsgspecError) as error:
        raise bad(f"the request is not valid JSON: {error}") from None
    except RecursionError:
        raise too_deep() from None


def _constant(name: str) -> Any:
    if name == "NaN":
        return None
    raise bad(f"{name} is not a value that a model can take; a missing value is null", None, "range")
