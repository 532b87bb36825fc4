"""docs/reference/data-gates.md, written from what the gates say of each corruption."""

from __future__ import annotations

from pathlib import Path

from hack.data_gates.corruptions import CORRUPTIONS
from hack.data_gates.runs import DRAWN, VERSION, corrupted, redrawn
from modelmill_trainer.data_gates import chance, drift, leak, strength, summary

PATH = Path(__file__).parents[2] / "docs" / "reference" / "data-gates.md"
TEMPLATE = Path(__file__).with_name("page.md")
REDRAWN = 10


def page() -> str:
    """Return the text of the page."""
    lines = ["| What was done | Verdict | Gate and columns | What is told |", "|---|---|---|---|"]
    for corruption in CORRUPTIONS:
        seen = corrupted(corruption)
        gates = "; ".join(f"`{one.gate}` {', '.join(one.columns)}".strip() for one in seen.findings)
        verdict = "rejected" if any(one.stops for one in seen.findings) else "told"
        words = "<br>".join(one.text.replace("|", "\\|") for one in seen.findings)
        lines.append(f"| {corruption.name}: {corruption.words} | {verdict} | {gates} | {words} |")
    clean = sum(not redrawn(seed).findings for seed in range(REDRAWN))
    return TEMPLATE.read_text(encoding="utf-8").format(
        table="\n".join(lines), version=VERSION, clean=clean, drawn=f"{DRAWN:.0%}", redrawn=REDRAWN, alarms=chance.ALARMS,
        per_column=chance.PER_COLUMN, fewer=f"{drift.FEWER_ROWS:.0%}", copies=round(100 * drift.MORE_COPIES),
        missing=round(100 * drift.MORE_MISSING), far=f"{drift.FAR:g}", factor=drift.FACTOR, moved=f"{drift.MOVED:.0%}",
        strong=drift.STRONG, lost=f"{drift.LOST:.0%}", away=leak.GIVEN_AWAY, before=leak.BEFORE, least=strength.MIN_ROWS,
        one_in=f"{round(1 / chance.ALARMS):,}", categories=summary.MAX_CATEGORIES, size=summary.MAX_BYTES >> 20,
    )  # fmt: skip
