"""What was measured of the control loop, as the section of docs/performance.md."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hack.bench.goals import Goal
from hack.bench.light import ROOT
from hack.bench.results import Measured, percentile

PERFORMANCE = ROOT / "docs" / "performance.md"

METHOD = """One API server and etcd, no kubelet, and no controller manager but the Job controller while it is measured. Every \
loop runs alone, in a process of its own that is new in every round; rounds are interleaved (every loop once, then again). \
Clients' rate limits of the peers are lifted, their controllers have ten workers, and no webhook is registered for them. \
First child: from the moment in which a watch shows the object to the moment in which a watch of the same process shows its \
child, 20 objects a second, all rounds together. CPU: of the process tree, from the first object of that series until the \
process rests. Burst: from first sight of the first object until all have a child and a status with conditions; the median \
of the rounds. Writes are counted in the API server's audit log by the loop's user, Leases left out. Memory is \
the growth of the resident set, after the first few objects, over a thousand (or as many as the command says) made at once."""


@dataclass(frozen=True)
class Floor:
    """One bare request, without a control loop. Latencies in ms."""

    title: str
    latencies: list[float]


def loops_table(measured: Iterable[Measured]) -> str:
    """Return the table of the loops beside each other."""
    rows = [
        "| | first child, median / p99 | CPU per object | burst: all have child and status | writes + Events per object "
        "| refused writes per object | memory per 1,000 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        lost = f", {one.lost()} never" if one.lost() else ""
        cells = [
            one.title,
            f"{one.latency(0.5):.1f} / {one.latency(0.99):.1f} ms{lost}",
            f"{one.cpu_ms():.1f} ms",
            f"{one.burst_count()} in {one.burst_seconds():.1f} s",
            f"{one.writes():.2f} + {one.events():.2f}",
            f"{one.refused():.2f}",
            "-" if math.isnan(one.memory_mib) else f"{one.memory_mib:.1f} MiB",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def goals_table(goals: Iterable[Goal]) -> str:
    """Return the table of what was asked and whether it was kept."""
    rows = ["| goal | measured | bound | |", "|---|---|---|---|"]
    for one in goals:
        rows.append(f"| {one.title} | {one.measured} | {one.bound} | {'kept' if one.kept else '**missed**'} |")
    return "\n".join(rows)


def floors_text(floors: Iterable[Floor]) -> str:
    """Return what bare requests took."""
    return "\n".join(
        f"- {one.title}, by the benchmark itself at the same pace, median / p99: "
        f"{percentile(one.latencies, 0.5):.1f} / {percentile(one.latencies, 0.99):.1f} ms"
        for one in floors
    )


def writes_text(measured: Iterable[Measured]) -> str:
    """Return which writes there were for one object."""
    return "\n".join(
        f"- {one.name()}: " + ", ".join(f"{name} {count:.2f}" for name, count in one.by_resource().items())
        for one in measured
    )


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
