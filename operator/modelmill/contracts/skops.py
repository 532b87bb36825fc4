"""What a model from a skops file may not do, whatever its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

_FILES: Final = ("filename", "file")
MAX_PARTS: Final = 1_000_000


def opens_files(model: object) -> str:
    """Return the name of a type within the model that opens files its input names, or an empty text.

    scikit-learn's text vectorizers take `input="filename"`: what a feature says would be read, from /proc/self/environ or a
    service account's token into the predictions. Raises ValueError for a model of more than MAX_PARTS parts.
    """
    for part in _parts(model):
        source = getattr(part, "input", None)
        if isinstance(source, str) and source in _FILES:
            return type(part).__name__
    return ""


def _parts(model: object) -> Iterator[Any]:
    """Yield the model and what it holds, each once."""
    waiting, seen = [model], {id(model)}
    while waiting:
        part = waiting.pop()
        yield part
        for held in _held(part):
            if id(held) not in seen and not isinstance(held, str | bytes | int | float | bool | None):
                seen.add(id(held))
                waiting.append(held)
        if len(seen) > MAX_PARTS:
            raise ValueError(f"the model has more than {MAX_PARTS} parts")


def _held(part: Any) -> list[Any]:
    if isinstance(part, Mapping):
        return [*part.keys(), *part.values()]
    if isinstance(part, list | tuple | set | frozenset):
        return list(part)
    if getattr(getattr(part, "dtype", None), "kind", "") == "O":
        return list(part.flat)
    return list(vars(part).values()) if hasattr(part, "__dict__") and not isinstance(part, type) else []
