"""Texts of anybody (a pod, a file, an alert, another program's error) made fit for Events, conditions, logs and tables.

Such a text becomes at most so many characters on one line, each of which is visible where it stands.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


def fitted(text: str, limit: int) -> str:
    """Return the text on one line in at most `limit` characters; an ellipsis says that it was cut.

    What is not printable becomes a space: control characters and escape sequences of terminals, ends of lines, marks that
    turn the direction of writing round (Unicode categories Cc, Cf, Zl, Zp), and lone surrogates, which cannot be sent. Of a
    long text no more is looked at than can be told.
    """
    cut = len(text) > 8 * limit
    if cut:
        text = text[: 8 * limit]
    if not text.isprintable():
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return text if len(text) <= limit and not cut else text[: limit - 1] + "…"


def word(text: str, otherwise: str) -> str:
    """Return a text that is one word of at most 64 letters, digits and underscores, as a reason must be; else `otherwise`."""
    return text if _WORD.fullmatch(text) else otherwise
