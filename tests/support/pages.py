"""The code that pages of the documentation show."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path


def blocks(page: Path) -> list[str]:
    """Return the code of a page: fenced, or indented by four and, within a list, by more."""
    text = page.read_text()
    fenced = [textwrap.dedent(found) for found in re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)]
    rest = re.sub(r"^ *```\w*\n.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)
    indented = re.findall(r"(?:^ {4}.*\n(?:^\s*\n)*)+", rest, re.MULTILINE)
    return [*fenced, *(textwrap.dedent(found) for found in indented)]
