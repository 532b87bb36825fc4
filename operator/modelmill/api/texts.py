"""Texts of anybody made fit for a field of the API or a column of `kubectl get`."""

from __future__ import annotations


def fitted(text: str, limit: int) -> str:
    """Return the text on one line in at most `limit` characters; an ellipsis says that it was cut.

    Control characters, line ends and lone surrogates become spaces: they would tear a table apart, or cannot be sent.
    """
    if not text.isprintable():
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
