"""What was measured, as data and as Markdown tables."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

from hack.bench.serving.cases import FOREST, GRPC, GRPC_WIDE, NEAR_HELLO, ONE_ROW, SPREAD, WIDE, Case, Line
from hack.bench.serving.catalogue import FASTAPI, HELLO, OURS, OURS_GRPC, PEERS, PROTOCOL, version
from hack.bench.serving.loads import Sample

THIRD, FOREST_LIMIT, HELLO_LIMIT = 1 / 3, 1.3, 5.0


@dataclass
class Row:
    """One line of a case. samples: one for each round. open: what the open loop found at half of the median rate."""

    case: str
    peer: str
    dialect: str
    samples: list[Sample] = field(default_factory=list)
    open: dict[str, Any] | None = None

    def median(self, name: str) -> float:
        """Return the median over the rounds of a field of `Sample`."""
        values: list[float] = [getattr(sample, name) for sample in self.samples]
        return statistics.median(values)


@dataclass
class Results:
    """missing: by peer, why it was not measured. memory: MiB by peer, of the linear model after the load."""

    rows: list[Row] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def row(self, case: str, peer: str, dialect: str | None = None) -> Row | None:
        """Return the row that was measured; None when there is none. dialect: its title, else the peer's JSON."""
        wanted = dialect or PEERS[peer].json.title
        for row in self.rows:
            if row.case == case and row.peer == peer and row.dialect == wanted and row.samples:
                return row
        return None

    def as_data(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return asdict(self)

    def table(self, case: Case) -> str:
        """Return the table of a case: the best first, what could not be measured last."""
        head = (
            "| Server | asked in | CPU per request | of FastAPI's | requests/s | of granian's hello world | p50 | p99 |"
        )
        lines = [head, "|---|---|---:|---:|---:|---:|---:|---:|"]
        fastapi, hello = self.row(case.name, FASTAPI), self.row(case.name, HELLO)
        measured = [(line, row) for line in case.lines if (row := self._of(case, line)) is not None]
        for line, row in sorted(measured, key=lambda pair: pair[1].median("cpu")):
            cpu, rate = row.median("cpu"), row.median("rate")
            times = f"{cpu / fastapi.median('cpu'):.2f}" if fastapi else "-"
            share = f"{100 * rate / hello.median('rate'):.0f} %" if hello else "-"
            slow = f"{_time(row.median('p50'))} | {_time(row.median('p99'))}"
            dialect = "" if line.peer.constant else line.dialect.title
            lines.append(
                f"| {title(line.peer.name)} | {dialect} | {_time(cpu)} | {times} | {rate:,.0f} | {share} | {slow} |"
            )
        for name in dict.fromkeys(line.peer.name for line in case.lines if line.peer.name in self.missing):
            lines.append(f"| {title(name)} | not measured: {self.missing[name]} | | | | | | |")
        return "\n".join(lines)

    def open_table(self) -> str:
        """Return the table of the open loop."""
        lines = [
            "| Server | at requests/s | p50 | p99 | p99.9 | failed | sent late |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for row in self.rows:
            if row.open is not None:
                found = row.open
                slow = " | ".join(_time(found[name]) for name in ("p50", "p99", "p999"))
                late = f"{100 * found['late'] / max(found['requests'], 1):.1f} %"
                lines.append(f"| {title(row.peer)} | {found['rate']:,.0f} | {slow} | {found['failures']} | {late} |")
        return "\n".join(lines)

    def memory_table(self) -> str:
        """Return the table of resident memory."""
        lines = ["| Server | memory |", "|---|---:|"]
        lines += [f"| {title(name)} | {mib:.0f} MiB |" for name, mib in sorted(self.memory.items(), key=lambda x: x[1])]
        return "\n".join(lines)

    def goals(self) -> str:
        """Return a table of the goals that were measured; empty when none was."""
        lines: list[str] = []
        ours, fastapi, hello = (self.row(ONE_ROW, name) for name in (OURS, FASTAPI, HELLO))
        forest, slow = self.row(FOREST, OURS), self.row(FOREST, FASTAPI)
        for row in self.rows:
            if ours and row.case == ONE_ROW and row.peer.startswith(FASTAPI):
                times = ours.median("cpu") / row.median("cpu")
                text = f"CPU for one row: at most a third of {PEERS[row.peer].title} ({row.dialect})"
                lines.append(f"| {text} | {times:.2f} | {_verdict(times <= THIRD)} |")
        if ours and forest:
            times = forest.median("cpu") / ours.median("cpu")
            text = f"CPU for a forest of 100 trees: at most {FOREST_LIMIT} times the linear model's"
            lines.append(f"| {text} | {times:.2f} | {_verdict(times <= FOREST_LIMIT)} |")
        if slow and fastapi:
            times = slow.median("cpu") / fastapi.median("cpu")
            lines.append(f"| the same of FastAPI with scikit-learn | {times:.1f} | |")
        if ours and hello:
            share, cpu = ours.median("rate") / hello.median("rate"), hello.median("cpu") / ours.median("cpu")
            lines.append(f"| share of granian's hello world's rate (by CPU time) | {share:.0%} ({cpu:.0%}) | |")
        lines += self._beside_others()
        return "\n".join(["| goal | measured | |", "|---|---|---|", *lines]) if lines else ""

    def _beside_others(self) -> list[str]:
        """Return the lines of the goals beside the bare protocol and MLServer."""
        one = "CPU for one row"
        goals = [(f"{one}: at most {HELLO_LIMIT:g} times", case, OURS, PROTOCOL, HELLO_LIMIT) for case in NEAR_HELLO]
        goals += [
            ("CPU for a large request in JSON: less than", WIDE, OURS, "mlserver", 1.0),
            (f"{one} over gRPC: less than", GRPC, OURS_GRPC, "mlserver", 1.0),
            ("CPU for a large request over gRPC: less than", GRPC_WIDE, OURS_GRPC, "mlserver", 1.0),
        ]
        lines = []
        for words, case, mine, peer, most in goals:
            dialect = PEERS[mine].json.title
            ours, theirs = self.row(case, mine, dialect), self.row(case, peer, None if peer == PROTOCOL else dialect)
            if ours and theirs:
                times = ours.median("cpu") / theirs.median("cpu")
                where = f" ({case[len(SPREAD) :]} connections)" if case.startswith(SPREAD) else ""
                lines.append(f"| {words} {PEERS[peer].title}{where} | {times:.2f} | {_verdict(times <= most)} |")
        return lines

    def _of(self, case: Case, line: Line) -> Row | None:
        return self.row(case.name, line.peer.name, line.dialect.title)


def title(name: str) -> str:
    """Return the words for a peer, with its version."""
    peer = PEERS[name]
    found = version(peer)
    first, comma, rest = peer.title.partition(",")
    return f"**{peer.title}**" if name in (OURS, OURS_GRPC) else f"{f'{first} {found}'.rstrip()}{comma}{rest}"


def _verdict(kept: bool) -> str:
    return "kept" if kept else "**missed**"


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    return f"{microseconds / 1000:.1f} ms" if microseconds < 1e5 else f"{microseconds / 1000:.0f} ms"
