"""Whether words of a page lie over each other, asked of a real browser by a script that runs beside the page, not in it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.report.browser import look

WIDTHS = (1200, 400)
SCRIPT = Path(__file__).with_name("layout.js")


def problems(pages: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Return for each `NAME at WIDTH` how many words its pictures have (`texts`) and what is wrong (`said`), in sentences."""
    frames = "".join(
        f'<iframe title="{name} at {width}" style="border:0;width:{width}px;height:2000px" '
        f'srcdoc="{html.escape(page.read_text(encoding="utf-8"))}"></iframe>'
        for name, page in pages.items()
        for width in WIDTHS
    )
    around = folder / "layout.html"
    around.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{SCRIPT.read_text()}</script></body>")
    told = re.search(r'<pre id="told">(.*?)</pre>', look(around, folder, width=1300, height=2000).document, re.DOTALL)
    assert told is not None, "the script did not end"
    found: dict[str, Any] = json.loads(html.unescape(told[1]))
    assert len(found) == len(pages) * len(WIDTHS)
    return found
