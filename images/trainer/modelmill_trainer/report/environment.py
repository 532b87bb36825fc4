"""What the templates of all pages go by: escaping, and how names, sentences and numbers are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modelmill_trainer.report.chart import LABEL
from modelmill_trainer.report.svg import cut, cut_letters

MAX_NAME, MAX_TOLD = 120, 400
"""Most letters of a name, and of a sentence or an address."""
MAX_BYTES = 800_000
"""Most bytes of a page."""


def page_environment() -> Environment:
    """Return the environment of the templates of this folder, whose values are escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["cut"] = lambda words: cut(words, LABEL)
    environment.filters["name"] = lambda words: cut_letters(str(words), MAX_NAME)
    environment.filters["told"] = lambda words: cut_letters(str(words), MAX_TOLD)
    return environment


def _number(value: Any) -> str:
    return "" if value is None else f"{value:,.4g}" if isinstance(value, float) else str(value)
