"""What was measured, as a table beside the budget."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from hack.bench.light import ROOT

PERFORMANCE = ROOT / "docs" / "performance.md"


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


@dataclass
class Floor:
    """One bare request, without an operator. Latencies in ms."""

    title: str
    latencies: list[float]


@dataclass
class Paced:
    """One series of objects created at a steady rate. Latencies in ms, from first sight of the parent to the child's."""

    count: int
    latencies: list[float]
    writes: Counter[str]
    cpu_ms: float
    memory_mib: float
    lost: int = 0

    def percentile(self, share: float) -> float:
        """Return the latency that this share of the objects did not exceed."""
        return percentile(self.latencies, share)

    def writes_per_object(self) -> float:
        """Return the writes for one object, Events not counted."""
        return sum(count for name, count in self.writes.items() if name != "events") / self.count

    def events_per_object(self) -> float:
        """Return the Events for one object."""
        return self.writes["events"] / self.count


@dataclass
class Kind:
    """All that was measured of one kind. burst_seconds: from the first object seen to the last child seen."""

    title: str
    budget: dict[str, float]
    paced: list[Paced] = field(default_factory=list)
    burst_count: int = 0
    burst_seconds: float = 0.0
    burst_writes: float = 0.0


@dataclass
class Idle:
    """The operator with everything in place. Writes without renewals of the lease."""

    objects: int
    rest_seconds: float
    rest_writes: int
    rest_cpu_percent: float
    restart_seconds: float
    restart_writes: int
    restart_cpu_seconds: float
    restart_mib: float


def table(floors: list[Floor], kinds: list[Kind], idle: Idle | None) -> str:
    """Return the Markdown table."""
    rows = ["| | measured | budget | |", "|---|---|---|---|"]

    def row(title: str, value: str, budget: str, *, kept: bool | None) -> None:
        verdict = "" if kept is None else "kept" if kept else "**missed**"
        rows.append(f"| {title} | {value} | {budget} | {verdict} |")

    for floor in floors:
        median, p99 = percentile(floor.latencies, 0.5), percentile(floor.latencies, 0.99)
        rows.append(
            f"| the floor: {floor.title} by the benchmark itself, median / p99 | {median:.1f} / {p99:.1f} ms | - | |"
        )
    for kind in kinds:
        limit = kind.budget
        for one in kind.paced:
            what = f"{kind.title}, {one.count:,} at 20/s"
            median, p99 = one.percentile(0.5), one.percentile(0.99)
            kept = median <= limit["p50"] and p99 <= limit["p99"] and not one.lost
            text = f"{median:.1f} / {p99:.1f} ms" + (f", {one.lost} never" if one.lost else "")
            row(f"{what}: first child, median / p99", text, f"{limit['p50']:g} / {limit['p99']:g} ms", kept=kept)
            text = f"{one.writes_per_object():.2f} + {one.events_per_object():.2f} events"
            kept = one.writes_per_object() <= limit["writes"]
            row(f"{what}: writes per object", text, f"{limit['writes']:g}", kept=kept)
            row(f"{what}: CPU per object", f"{one.cpu_ms:.1f} ms", "10 ms", kept=one.cpu_ms <= 10)
        if kind.paced and kind.paced[-1].count >= 500:
            growth = kind.paced[-1].memory_mib * 1000 / kind.paced[-1].count
            row(f"{kind.title}: memory per 1,000 objects", f"{growth:.1f} MiB", "15 MB", kept=growth <= 15)
        if kind.burst_count:
            what = f"{kind.title}, {kind.burst_count:,} at once: last child"
            seconds = kind.burst_seconds
            row(what, f"{seconds:.1f} s", f"{limit['burst']:g} s", kept=seconds <= limit["burst"])
            row(f"{what.removesuffix(': last child')}: writes per object", f"{kind.burst_writes:.2f}", "-", kept=None)
    if idle is not None:
        everything = f"{idle.objects:,} objects"
        text = f"{idle.rest_writes} in {idle.rest_seconds:.0f} s, CPU {idle.rest_cpu_percent:.1f} %"
        row(f"at rest with {everything}: writes", text, "0", kept=idle.rest_writes == 0)
        row(f"restart with {everything}: writes", str(idle.restart_writes), "0", kept=idle.restart_writes == 0)
        text = f"{idle.restart_seconds:.1f} s, CPU {idle.restart_cpu_seconds:.1f} s, {idle.restart_mib:.0f} MiB"
        row(f"restart with {everything}: until quiet", text, "-", kept=None)
    return "\n".join(rows)


def details(kinds: list[Kind]) -> str:
    """Return which writes there were."""
    lines = []
    for kind in kinds:
        for one in kind.paced:
            parts = ", ".join(f"{name} {count / one.count:.2f}" for name, count in sorted(one.writes.items()))
            lines.append(f"- {kind.title}, {one.count:,} at 20/s: {parts}")
    return "\n".join(lines)


def write_page(text: str, page: Path = PERFORMANCE, section: str = "control loop") -> Path:
    """Put the text into this section of the page; others stay."""
    begin, end = (f"<!-- {section}: {word} -->" for word in ("begin", "end"))
    before = page.read_text() if page.exists() else "# Performance\n"
    if begin in before:
        head, rest = before.split(begin, 1)
        tail = rest.split(end, 1)[1]
    else:
        head, tail = before.rstrip("\n") + "\n\n", "\n"
    page.parent.mkdir(exist_ok=True)
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}")
    return page
