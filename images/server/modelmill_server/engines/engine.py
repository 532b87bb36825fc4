"""What every engine is."""

from __future__ import annotations

from typing import Any, Protocol

from modelmill_server.failure import StartError
from modelmill_server.queries.columns import Column


class Engine(Protocol):
    """A loaded model. name: library and version."""

    name: str

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output for the columns of all features, lists or arrays, in any mixture.

        May be called by several threads at once. Raises RejectedError for values that the model cannot take, or whatever the
        model raises.
        """


def unloadable(message: str) -> StartError:
    """Return the failure of a model that cannot be served."""
    return StartError("ModelLoadFailed", message)
