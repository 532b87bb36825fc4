"""What the embedded engine costs: CPU and memory for services of three pods with 20 features each.

Pages are those of a real server's counters; reading them, keeping and judging what they tell and writing it is timed, as
the operator does once a minute. The transfer over HTTP is not in it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from modelmill.api.monitoring import Monitoring
from modelmill.contracts.artifact import Tensor
from modelmill.contracts.counts import encode
from modelmill.kube.objects import Key
from modelmill.monitoring.evaluating import evaluate, memory_of
from modelmill.monitoring.observing import Observer
from modelmill.monitoring.reading import Reading, needed_lines, read
from modelmill_server.queries.columns import features_of
from modelmill_server.queries.query import Query
from modelmill_server.telemetry.counters import Monitor
from modelmill_trainer.reference import make_profile

SERVICES, PODS, FEATURES, ROUNDS, INTERVAL = 100, 3, 20, 6, 60.0
START = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def monitor(random: np.random.Generator) -> Monitor:
    """Return the counters of a server with FEATURES numbers."""
    names = [f"feature_{place}" for place in range(FEATURES)]
    frame = pd.DataFrame(random.normal(size=(2000, FEATURES)), columns=names)
    target = random.normal(size=2000)
    return Monitor(
        model="m",
        version="m-1",
        info={"format": "onnx", "engine": "onnx", "digest": "sha256:0"},
        created=START.isoformat(),
        profile=make_profile(frame, target, target, dict.fromkeys(names, 1.0)),
        features=features_of(tuple(Tensor(name, "FP64", (-1, 1)) for name in names)),
        most=FEATURES,
    )


class Page:
    """Makes the page of a server."""

    def __init__(self, counted: Monitor) -> None:
        self._registry = CollectorRegistry()
        self._counted = counted
        self._registry.register(self)  # type: ignore[arg-type]

    def collect(self) -> Any:
        """Return the families."""
        return self._counted.families()

    def text(self) -> bytes:
        """Return the page."""
        return generate_latest(self._registry)


class Pages:
    """All pods tell one page; what is read of it is timed with the rest."""

    page = b""

    async def counted(self, key: Key, pods: Sequence[Mapping[str, Any]]) -> Mapping[str, Reading]:
        """Read the page once for each pod."""
        return {pod["metadata"]["uid"]: self._one() for pod in pods}

    def _one(self) -> Reading:
        lines = needed_lines()
        lines.feed(self.page)
        return read(lines.text())

    def forget(self, key: Key) -> None:
        """Nothing is late."""


async def play() -> None:
    """Print the costs."""
    random = np.random.default_rng(0)
    counted, pages = monitor(random), Pages()
    page = Page(counted)
    observer, monitoring = Observer(pages), Monitoring.model_validate({"drift": {"features": FEATURES}})
    status = {"startTime": START.isoformat()}
    pods = [{"metadata": {"uid": f"p{number}"}, "status": status} for number in range(PODS)]
    reading = judging = writing = 0.0
    size = 0
    before_all = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for round_ in range(ROUNDS):
        counted.count_answer(Query(list(random.normal(size=(FEATURES, 50))), 50, ()), None, (0.0, 0.0, 0.0, 0.0))
        pages.page = page.text()
        now = START + timedelta(seconds=INTERVAL * round_)
        for number in range(SERVICES):
            key = Key("ml", f"s{number}")
            before = time.process_time()
            seen = await observer.observed(key, monitoring, ("r", "m-1"), pods, None, now)
            between = time.process_time()
            found = evaluate(monitoring, seen.history, None, memory_of(seen.history.memory), now.timestamp())
            observer.remember(key, found.memory.document())
            after = time.process_time()
            if round_ % 5 == 0:
                size = len(encode(seen.history))
            reading, judging = reading + between - before, judging + after - between
            writing += time.process_time() - after
    kept = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_all) * 1024
    looks = SERVICES * ROUNDS
    total = (reading + judging + writing) / looks
    print(f"page of a pod: {len(pages.page) / 1000:.0f} kB; ConfigMap of a service: {size / 1000:.0f} kB")
    print(f"a look at a service of {PODS} pods with {FEATURES} features: {total * 1e3:.1f} ms of CPU")
    print(
        f"  reading {reading / looks * 1e3:.1f}, judging {judging / looks * 1e3:.1f}, writing {writing / looks * 1e3:.1f}"
    )
    print(f"{SERVICES} services, a look each {INTERVAL:.0f} s: {total * SERVICES / INTERVAL:.1%} of a core")
    print(f"memory: {kept / SERVICES / 1000:.0f} kB a service")


if __name__ == "__main__":
    asyncio.run(play())
