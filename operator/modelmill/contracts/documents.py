"""What documents of JSON are read and written with: they may be anybody's, and of a newer release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, TypeVar


class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[dict[str, Any]]


Read = TypeVar("Read", bound=_Dataclass)


def read_fields(cls: type[Read], raw: Mapping[str, Any]) -> Read:
    """Build the dataclass from the fields it knows; others come from a newer writer. Raises TypeError for one that lacks."""
    return cls(**{name: raw[name] for name in cls.__dataclass_fields__ if name in raw})


@contextmanager
def reading(what: str = "it") -> Iterator[None]:
    """Raise ValueError, in words about `what`, for a document of another form than the one that is being read."""
    try:
        yield
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{what} lacks or has a wrong {error}") from None


def shown(text: str, keep: int) -> str:
    """Return the text as UTF-8 can have it, cut to `keep` characters: a column's name may hold half a surrogate pair."""
    text = text.encode(errors="replace").decode()
    return text if len(text) <= keep else text[:keep] + "…"
