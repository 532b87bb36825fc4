"""What a mirror costs the live requests: rounds of the same load in turn, nothing mirrored, a tenth mirrored, and all of it.

    python hack/bench/serving/mirror.py [--rate 500] [--seconds 10] [--rounds 5]

The server has a core of its own; the shadow, which is the same model, shares the other one with the load. What is printed is
the median over the rounds, and its ratio to that of the rounds in which nothing is mirrored: machines differ, ratios less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "operator"), str(ROOT / "images" / "server")]

from hack.bench.serving import dialects, models, running  # noqa: E402
from hack.bench.serving.catalogue import OURS, PEERS  # noqa: E402
from hack.bench.serving.environments import open_loop_program  # noqa: E402
from hack.bench.serving.loads import Generators  # noqa: E402
from modelmill.contracts import names, shadow  # noqa: E402

SERVER_CORE, OTHER_CORE = 0, 1
RATIOS = (0.0, 0.1, 1.0)
CONNECTIONS = 16
SEEN_SECONDS = 2.5  # the file is looked at every second


def main(argv: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = models.make("linear", folder)
        generators = Generators("", open_loop_program(), OTHER_CORE, folder)
        (folder / "of").mkdir()
        other = running.start(PEERS[OURS], model, OTHER_CORE, folder / "of")
        file = folder / "shadow.json"
        mirrors = {names.ENV_SHADOW_URL: f"http://127.0.0.1:{other.port}", names.ENV_SHADOW_FILE: str(file)}
        server = running.start(
            replace(PEERS[OURS], environ={**PEERS[OURS].environ, **mirrors}), model, SERVER_CORE, folder
        )
        found: dict[float, list[dict[str, float]]] = {ratio: [] for ratio in RATIOS}
        try:
            for _ in range(options.rounds):
                for ratio in RATIOS:
                    file.write_text(shadow.encode(shadow.Shadow("shadow", "bench", ratio, 0.0, 0.0)))
                    time.sleep(SEEN_SECONDS)
                    request = server.request(dialects.V2, 1)
                    found[ratio].append(generators.open(server, request, options.rate, CONNECTIONS, options.seconds))
            counted = _counters(server.port)
        finally:
            server.tree.stop()
            other.tree.stop()
    print(f"{options.rate:g} requests/s of one row, {options.rounds} rounds of {options.seconds} s each\n")
    print("| mirrored | p50, µs | p99, µs | p50, ratio | p99, ratio |\n|---:|---:|---:|---:|---:|")
    for ratio in RATIOS:
        half, most = (statistics.median(one[what] for one in found[ratio]) for what in ("p50", "p99"))
        half_0, most_0 = (statistics.median(one[what] for one in found[0.0]) for what in ("p50", "p99"))
        print(f"| {ratio:.0%} | {half:.0f} | {most:.0f} | {half / half_0:.2f} | {most / most_0:.2f} |")
    print(json.dumps(counted))
    return 0


def _counters(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    kept = [line for line in lines if line.startswith("modelmill_shadow_") and "_bucket" not in line]
    totals: dict[str, float] = {}
    for line in kept:
        name = line.partition("{")[0]
        totals[name] = totals.get(name, 0.0) + float(line.rpartition(" ")[2])
    return {name: total for name, total in totals.items() if not name.endswith(("_sum", "_created"))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
