"""Sends a million requests to our model server, valid and invalid ones, and looks whether its memory grows.

64 connections; nine requests in ten are valid (V2 with a matrix, with a tensor per feature, V1, MLflow), the tenth is one of
many kinds of invalid ones, some with a name that never comes twice. Resident memory is read before, after each part, and at
the end. Exit code 1 when it grew by more than the limit after the first tenth, or when an answer was a 5xx.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
from itertools import cycle
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from hack.bench.serving import dialects, models, running
from hack.bench.serving.catalogue import OURS, PEERS
from hack.bench.serving.environments import HERE, wrk_program
from hack.bench.serving.models import NAME
from hack.bench.serving.running import Running

PATH = f"/v2/models/{NAME}/infer"
MATRIX = '{"inputs":[{"name":"rows","shape":%s,"datatype":"%s","data":%s}]}'
INVALID = [
    (PATH, ""),
    (PATH, '{"inputs":['),
    (PATH, "[" * 10_000),
    (PATH, MATRIX % ("[1,4]", "FP64", "[1,2,3]")),
    (PATH, MATRIX % ("[1,4]", "FP64", '[1,2,3,"many @"]')),
    (PATH, MATRIX % ("[1,4]", "FP64", "[1,2,3,1e300]")),
    (PATH, MATRIX % ("[1,4]", "FP64", "[1,2,3,null]")),
    (PATH, MATRIX % ("[1,4]", "FP64", "[1,2,3," + "9" * 5000 + "]")),
    (PATH, MATRIX % ("[-1,4]", "FP64", "[]")),
    (PATH, MATRIX % ("[1,4]", "FLOAT@", "[1,2,3,4]")),
    (PATH, '{"inputs":[{"name":"unknown-@","shape":[1],"datatype":"FP64","data":[1]}]}'),
    (PATH, '{"inputs":[],"outputs":[{"name":"output-@"}]}'),
    (f"/v2/models/{NAME}/versions/v@/infer", "{}"),
    ("/v2/models/model-@/infer", "{}"),
    (f"/v1/models/{NAME}:predict", '{"instances":[{"name-@":1}]}'),
    ("/invocations", '{"dataframe_split":{"columns":["a@"],"data":[[1]]}}'),
    ("/feedback", '{"id":"@","label":1}'),
]


def mixture(server: Running) -> list[tuple[str, str]]:
    """Return the requests: after each nine valid ones an invalid one."""
    kinds = (dialects.V2_ALL, dialects.V2_COLUMNS, dialects.V1)
    made = [server.request(kind, rows) for kind in kinds for rows in (1, 3)]
    valid = [(request.path, request.body.decode()) for request in made]
    numbered = [(path, body.replace('{"inputs"', '{"id":"request-@","inputs"', 1)) for path, body in valid]
    row = json.dumps({"instances": server.model.rows[:2].tolist()})
    source = cycle([*numbered, ("/invocations", row)])
    return [one for invalid in INVALID for one in (*(next(source) for _ in range(9)), invalid)]


def codes(server: Running) -> dict[str, int]:
    """Return how many requests the server says that it answered, by status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    counts = re.findall(r'^modelmill_requests_total\{.*code="(\d+)".*\} (\S+)', text, re.M)
    return {code: int(float(count)) for code, count in counts}


def measure(server: Running, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Send everything and return what was seen."""
    file = folder / "requests"
    file.write_text("\n----\n".join(f"{path}\n{body}" for path, body in mixture(server)))
    sent, broken, seconds = 0, 0, options.part_seconds
    seen: list[tuple[int, float]] = [(0, server.tree.rss_mib())]
    while sent < options.requests:
        script = [
            "-s",
            str(HERE / "mixed.lua"),
            f"http://127.0.0.1:{server.port}",
            "--",
            str(file),
            str(sent + 1000 * len(seen)),
        ]
        command = [wrk_program(), "-t1", "-c64", f"-d{seconds}s", "--timeout", "30s", *script]
        done = subprocess.run(
            ["taskset", "-c", str(options.load_core), *command], capture_output=True, text=True, check=True
        )
        counts = json.loads(done.stdout.strip().splitlines()[-1])
        sent += counts["requests"]
        broken += counts["broken"]
        seen.append((sent, server.tree.rss_mib()))
        print(f"memory: {sent:,} requests, {seen[-1][1]:.1f} MiB", file=sys.stderr, flush=True)
    first = next(mib for count, mib in seen if count >= options.requests / 10)
    return {
        "requests": sent,
        "broken_connections": broken,
        "answers_by_code": codes(server),
        "rss_mib_at_start": round(seen[0][1], 1),
        "rss_mib_after_a_tenth": round(first, 1),
        "rss_mib_at_the_end": round(seen[-1][1], 1),
        "grown_after_the_first_tenth_mib": round(seen[-1][1] - first, 1),
        "rss_mib_by_requests": [[count, round(mib, 1)] for count, mib in seen],
    }


def main(argv: list[str]) -> int:
    """Run, print the result as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(prog="memory.py", description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="at least so many (default: %(default)s)")
    parser.add_argument("--part-seconds", type=int, default=5, help="between two looks (default: %(default)s)")
    parser.add_argument(
        "--limit", type=float, default=4.0, help="MiB it may grow after the first tenth (default: %(default)s)"
    )
    parser.add_argument("--server-core", type=int, default=1)
    parser.add_argument("--load-core", type=int, default=0)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = running.start(PEERS[OURS], models.make("linear", folder), options.server_core, folder)
        try:
            found = measure(server, options, folder)
        finally:
            server.tree.stop()
    print(json.dumps(found, indent=1))
    failed = [code for code in found["answers_by_code"] if code.startswith("5")]
    good = not failed and not found["broken_connections"] and found["grown_after_the_first_tenth_mib"] <= options.limit
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
