"""The readable account: what happened, when, by whom, why; and the final table."""

from __future__ import annotations

import threading
import time
from typing import Any

from hack.demo.kube import Kube
from hack.demo.traffic import Answer, mean_absolute_error


class Account:
    """Prints lines with the time since the start, from any thread."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str, who: str = "demo") -> None:
        """Print one line."""
        with self._lock:
            print(f"[{time.monotonic() - self.began:6.1f}s] {who:<26} {text}", flush=True)

    def chapter(self, text: str) -> None:
        """Print a heading."""
        with self._lock:
            print(f"\n== {text}", flush=True)

    def follow_events(self, kube: Kube, namespace: str) -> None:
        """Print the operator's Events of the namespace as they happen, as long as the program runs."""

        def read() -> None:
            for event in kube.events(namespace):
                if event.get("reportingController") == "modelmill.dev/operator":
                    self.say(f"{event['reason']}: {event['note']}", event["regarding"]["kind"])

        threading.Thread(target=read, daemon=True).start()


def version_rows(versions: list[dict[str, Any]], answers: list[Answer], today: set[int]) -> list[list[str]]:
    """Return a row for each version: trained on, hold-out, error on today's cars, requests, why it was made."""
    rows = []
    for version in versions:
        name, spec = version["metadata"]["name"], version["spec"]
        lineage = spec["lineage"]
        mine = [answer for answer in answers if answer.version == name and answer.car.year in today]
        error = mean_absolute_error(mine)
        rows.append(
            [
                name,
                f"{lineage['dataRows']} rows",
                f"{float(spec['metrics']['mae']):.2f}",
                "-" if error is None else f"{error:.2f}",
                str(sum(answer.version == name for answer in answers)),
                lineage["reason"],
            ]
        )
    return rows


def shares(answers: list[Answer], began: float, names: list[str], width: float = 20.0) -> list[str]:
    """Return one line for each 20 s with the share of each version as a bar."""
    lines = []
    marks = "#o+*"
    for index in range(int((max((a.moment for a in answers), default=began) - began) / width) + 1):
        low = began + index * width
        part = [a for a in answers if low <= a.moment < low + width]
        if not part:
            continue
        counts = [sum(a.version == name for a in part) for name in names]
        bar = "".join(marks[i % 4] * round(40 * count / len(part)) for i, count in enumerate(counts))
        text = "  ".join(f"{name} {100 * count / len(part):3.0f}%" for name, count in zip(names, counts, strict=True))
        failed = sum(a.failure is not None for a in part)
        lines.append(f"  {index * width:5.0f}s |{bar:<40}| {text}  failed {failed}")
    return lines


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return an aligned table."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [heads, *rows]]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(f"  {line}" for line in lines)
