"""Measures batch prediction beside plain scikit-learn over the same files, as ratios within one run.

Plain: a program that reads each file whole with pandas, calls `predict`, and writes the frame with the answers. Ours: the
command `modelmill-server batch` on the artifact of the same estimator, which also checks every value and digest, counts drift,
reads back what it wrote, and passes columns on as they were. Both begin with the start of their process; in turn, `--rounds`
times, and their answers are compared. Prints a Markdown table; `--write` puts it into docs/performance.md. Needs no root.
Takes about 4 minutes on two CPUs that nobody else uses.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator"), str(ROOT / "images" / "server")]

import numpy as np  # noqa: E402 - after the path
import pandas as pd  # noqa: E402 - after the path
from sklearn.ensemble import RandomForestRegressor  # noqa: E402 - after the path
from sklearn.linear_model import Ridge  # noqa: E402 - after the path

from hack.artifacts import write_artifact  # noqa: E402 - after the path
from hack.bench import report  # noqa: E402 - after the path

FEATURES = 10
FILES = 4
PLAIN = """
import sys, pathlib
import pandas as pd, skops.io
from modelmill.contracts.artifact import SKOPS_TRUSTED
model = skops.io.load(sys.argv[1], trusted=list(SKOPS_TRUSTED))
given, made = map(pathlib.Path, sys.argv[2:4])
made.mkdir()
for path in sorted(given.iterdir()):
    match path.suffix:
        case ".csv": frame = pd.read_csv(path)
        case ".jsonl": frame = pd.read_json(path, lines=True)
        case _: frame = pd.read_parquet(path)
    frame["predict"] = model.predict(frame[[name for name in frame if name != "id"]])
    match path.suffix:
        case ".csv": frame.to_csv(made / path.name, index=False)
        case ".jsonl": frame.to_json(made / path.name, orient="records", lines=True, double_precision=15)
        case _: frame.to_parquet(made / path.name, index=False)
"""
CASES = (
    ("ridge", Ridge(), ("csv", "jsonl", "parquet")),
    ("forest of 20 trees", RandomForestRegressor(20, max_depth=12), ("csv", "parquet")),
)
METHOD = f"""{FILES} files of rows with an id and {FEATURES} numbers of full precision, on a disk; one thread of OpenMP and \
BLAS. Plain is a short program: pandas reads a file whole, `predict`, pandas writes it with the answers. Ours is \
`modelmill-server batch` with the same estimator as a skops file: blocks of bounded size, every value checked as a request's \
is, digests, drift, and the written file read back. Whole processes from their start, in turn; seconds of CPU are of all \
processes, memory is the largest resident set of one. Figures are medians of the rounds; a ratio is that of the medians, \
plain over ours: above 1 ours is faster. The answers of both are equal."""


@dataclass(frozen=True)
class Spent:
    """Of one run."""

    wall: float
    cpu: float
    mib: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=150_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            measured(Path(scratch), title, estimator, form, options.rows, options.rounds)
            for title, estimator, forms in CASES
            for form in forms
        ]
    head = (
        "| model, format | size | plain: rows/s, CPU, memory | ours: rows/s, CPU, memory | ratio of rows/s | of CPU |"
    )
    table = "\n".join([head, "|---|---:|---:|---:|---:|---:|", *rows])
    command = f"`python3 hack/bench/batch.py --rows {options.rows} --rounds {options.rounds}`"
    machine = f"Python {platform.python_version()}, {os.cpu_count()} CPUs, load before {load:.1f}"
    text = f"## Batch prediction\n\n{command}, {machine}.\n\n{METHOD}\n\n{table}"
    print(text)
    if options.write:
        report.write_page(text, section="batch prediction")
    return 0


def measured(scratch: Path, title: str, estimator: Any, form: str, count: int, rounds: int) -> str:
    """Return a row of the table."""
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(count, FEATURES)), columns=[f"x{place}" for place in range(FEATURES)])
    target = frame["x0"] * 2 - frame["x1"] ** 2 + random.normal(size=count)
    estimator.fit(frame[:5000], target[:5000])
    artifact = scratch / title / "model"
    if not artifact.exists():
        write_artifact(artifact, estimator, frame[:5000], "skops")
    given = scratch / f"{title}-{form}"
    given.mkdir()
    frame.insert(0, "id", [f"row-{number:09}" for number in range(count)])
    for number, part in enumerate(np.array_split(np.arange(count), FILES)):
        path = given / f"{number}.{form}"
        write(frame.iloc[part], path)
    size = sum(path.stat().st_size for path in given.iterdir()) / (1 << 20)
    made = {side: scratch / f"{title}-{form}-{side}" for side in ("plain", "ours")}
    uris = ["--input", given.as_uri(), "--output", made["ours"].as_uri(), "--format", form]
    commands = {
        "plain": ["-c", PLAIN, str(artifact / "model.skops"), str(given), str(made["plain"])],
        "ours": ["-m", "modelmill_server", "batch", str(artifact), *uris],
    }
    runs: dict[str, list[Spent]] = {side: [] for side in commands}
    for number in range(rounds):
        for side in sorted(commands, reverse=number % 2 == 0):
            shutil.rmtree(made[side], ignore_errors=True)
            runs[side].append(spent([sys.executable, *commands[side]]))
    for path in given.iterdir():
        np.testing.assert_allclose(
            predictions(made["ours"] / "rows" / path.name), predictions(made["plain"] / path.name)
        )
    plain, ours = (median(runs[side]) for side in ("plain", "ours"))
    cells = [f"{title}, {form}", f"{size:.0f} MiB"]
    cells += [f"{count / one.wall:,.0f}, {one.cpu:.1f} s, {one.mib:.0f} MiB" for one in (plain, ours)]
    cells += [f"{plain.wall / ours.wall:.2f}", f"{plain.cpu / ours.cpu:.2f}"]
    return f"| {' | '.join(cells)} |"


def write(frame: pd.DataFrame, path: Path) -> None:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    else:
        frame.to_parquet(path, index=False)


def predictions(path: Path) -> Any:
    readers = {
        ".csv": pd.read_csv,
        ".jsonl": lambda given: pd.read_json(given, lines=True),
        ".parquet": pd.read_parquet,
    }
    return readers[path.suffix](path)["predict"]


def median(runs: list[Spent]) -> Spent:
    """Return the median of each figure."""
    return Spent(*(statistics.median(getattr(one, name) for one in runs) for name in ("wall", "cpu", "mib")))


def spent(command: list[str]) -> Spent:
    """Run a program to its end. Raises CalledProcessError."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}/operator:{ROOT}/images/server",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    measure = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
    )
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], env=environment, check=True, capture_output=True, text=True
    )
    wall = time.perf_counter() - begin
    cpu, mib = map(float, done.stdout.split())
    return Spent(wall, cpu, mib)


if __name__ == "__main__":
    sys.exit(main())
