"""Compares our model server with its peers in one run: CPU time per request, rates, latencies and memory.

Servers run on one core, the load generator on another. Before anything is timed, each server's answer to each request that
will be sent, and to many rows at once, is compared with scikit-learn's; a wrong one ends the run. Prints Markdown tables;
`--write` puts them into docs/performance.md, `--json` all samples into a file. Needs two cores, taskset, wrk and Go; peers are
installed on first use. Takes about 15 minutes, `--quick` about 3.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from hack.bench.serving import cases, models, page, running
from hack.bench.serving.cases import Case
from hack.bench.serving.catalogue import HELLO, PEERS
from hack.bench.serving.environments import MissingError, open_loop_program, wrk_program
from hack.bench.serving.loads import Generators
from hack.bench.serving.processes import Neighbours
from hack.bench.serving.results import Results, Row
from hack.bench.serving.running import Running, WrongAnswerError

OPEN_CONNECTIONS = 64


class Comparison:
    """One run."""

    def __init__(self, options: argparse.Namespace, generators: Generators, folder: Path) -> None:
        self._options = options
        self._generators = generators
        self._folder = folder
        self.results = Results()
        self.cases = cases.cases(options.peers)
        if options.cases:
            self.cases = [case for case in self.cases if case.name.startswith(tuple(options.cases))]

    def run(self) -> None:
        """Measure everything. Raises WrongAnswerError."""
        for name in dict.fromkeys(case.model for case in self.cases):
            model = models.make(name, self._folder)
            mine = [case for case in self.cases if case.model == name]
            with ExitStack() as stack:
                servers = self._start(model, mine, stack)
                for case in mine:
                    self._measure(case, servers)
                if name == "linear":
                    self._measure_open(servers)
                    measured = {peer: one for peer, one in servers.items() if not one.peer.constant}
                    self.results.memory = {peer: one.tree.pss_mib() for peer, one in measured.items()}

    def _start(self, model: models.Model, mine: list[Case], stack: ExitStack) -> dict[str, Running]:
        servers: dict[str, Running] = {}
        for name in dict.fromkeys(line.peer.name for case in mine for line in case.lines):
            if name in self.results.missing:
                continue
            say(f"{name}: starts with the {model.name} model")
            try:
                servers[name] = running.start(PEERS[name], model, self._options.server_core, self._folder)
            except MissingError as error:
                self.results.missing[name] = str(error).replace("|", "/")
                say(f"{name}: {error}")
            else:
                stack.callback(servers[name].tree.stop)
        return servers

    def _measure(self, case: Case, servers: dict[str, Running]) -> None:
        lines = [line for line in case.lines if line.peer.name in servers]
        for line in lines:
            servers[line.peer.name].require_right(line.dialect, case.rows)
        say(f"{case.title}: all answers are scikit-learn's")
        rows = [Row(case.name, line.peer.name, line.dialect.title) for line in lines]
        self.results.rows += rows
        for round_ in range(self._options.rounds):
            for line, row in zip(lines, rows, strict=True):
                server = servers[line.peer.name]
                request = server.request(line.dialect, case.rows)
                sample = self._generators.closed(server, request, case.connections, self._options.seconds)
                row.samples.append(sample)
                what = f"{case.name} {round_ + 1}/{self._options.rounds} {row.peer}, {row.dialect}"
                say(f"{what}: {sample.cpu:.0f} µs, {sample.rate:.0f}/s")

    def _measure_open(self, servers: dict[str, Running]) -> None:
        for name in (*cases.TUNED, HELLO):
            row = self.results.row(cases.ONE_ROW, name)
            if row is None or name not in servers:
                continue
            server, rate = servers[name], row.median("rate") / 2
            request = server.request(server.peer.json, 1)
            row.open = self._generators.open(server, request, rate, OPEN_CONNECTIONS, 2 * self._options.seconds)
            say(f"open loop, {name} at {rate:.0f}/s: p50 {row.open['p50']:.0f} µs, p99 {row.open['p99']:.0f} µs")


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def section(comparison: Comparison, took: float, others: float) -> str:
    """Return the text for docs/performance.md."""
    results = comparison.results
    command = " ".join(["python hack/bench/serving/compare.py", *_shown(sys.argv[1:])])
    conditions = (
        f"{took / 60:.0f} minutes on {os.cpu_count()} cores, of which other processes used {others:.0f} % meanwhile"
    )
    parts = ["## Serving", "", f"`{command}`, {conditions}; Python {platform.python_version()}.", page.METHOD]
    if goals := results.goals():
        parts += ["", goals]
    for case in comparison.cases:
        parts += ["", f"### {case.title}", "", f"Keep-alive connections: {case.connections}.", "", results.table(case)]
    if any(row.open for row in results.rows):
        parts += ["", "### Open loop at half of saturation", "", page.OPEN_METHOD, "", results.open_table()]
    if results.memory:
        parts += ["", "### Memory", "", page.MEMORY_METHOD, "", results.memory_table()]
    return "\n".join(parts)


def _shown(arguments: list[str]) -> list[str]:
    """Return the arguments without those that only say where the result goes."""
    places = {place + shift for place, one in enumerate(arguments) if one == "--json" for shift in (0, 1)}
    return [
        one
        for place, one in enumerate(arguments)
        if place not in places and one != "--write" and not one.startswith("--json=")
    ]


def options_from(argv: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    every = list(PEERS)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=every, help=f"of {','.join(every)}")
    parser.add_argument(
        "--cases", type=lambda text: text.split(","), help="of one,spread,rows,forest,wide,grpc (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=5, help="of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of each case (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of one second: a trial, no measurement")
    parser.add_argument("--server-core", type=int, default=1)
    parser.add_argument("--load-core", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for all samples")
    parser.add_argument("--write", action="store_true", help="write the section of docs/performance.md")
    options = parser.parse_args(argv)
    unknown = [name for name in options.peers if name not in PEERS]
    if unknown:
        parser.error(f"unknown peers: {', '.join(unknown)}")
    if options.quick:
        options.seconds = options.rounds = 1
    return options


def main(argv: list[str]) -> int:
    """Run, print, and return the exit code."""
    options, began, neighbours = options_from(argv), time.monotonic(), Neighbours()
    if shutil.which("taskset") is None:
        say("taskset is needed (Debian and Ubuntu: apt-get install util-linux)")
        return 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            generators = Generators(wrk_program(), open_loop_program(), options.load_core, folder)
            comparison = Comparison(options, generators, folder)
            comparison.run()
        except MissingError as error:
            say(str(error))
            return 2
        except WrongAnswerError as error:
            say(f"wrong answer, nothing is reported: {error}")
            return 1
    text = section(comparison, time.monotonic() - began, neighbours.percent())
    print(text)
    if options.json is not None:
        options.json.write_text(json.dumps(comparison.results.as_data(), indent=1))
    if options.write:
        say(f"written to {page.write(text + chr(10))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
