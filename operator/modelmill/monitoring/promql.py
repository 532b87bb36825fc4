"""Text of the user as it stands in PromQL: between quotes, and inside a regular expression between quotes.

Source: Prometheus documentation, querying basics, string literals (escapes as in Go); RE2 syntax.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_META = re.compile(r"([\\.+*?()|\[\]{}^$])")


def quoted(text: str) -> str:
    """Return `text` as a PromQL string literal, quotes included."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(text: str) -> str:
    """Return `text` as an RE2 expression that matches only itself; still to be quoted."""
    return _META.sub(r"\\\1", text)


def matchers(
    equal: Mapping[str, str], regular: Mapping[str, str] | None = None, unequal: Mapping[str, str] | None = None
) -> str:
    """Return `{a="x",b=~"y",c!="z"}`. `equal` and `unequal` values are literal text, `regular` values are expressions."""
    parts = [f"{name}={quoted(value)}" for name, value in equal.items()]
    parts += [f"{name}=~{quoted(value)}" for name, value in (regular or {}).items()]
    parts += [f"{name}!={quoted(value)}" for name, value in (unequal or {}).items()]
    return "{" + ",".join(parts) + "}"


def number(text: str) -> str:
    """Return a Decimal of the API as a PromQL number. Raises ValueError when it is none."""
    return repr(float(text))
