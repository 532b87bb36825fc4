"""Reads the counters of serving pods for the analysis: GET http://POD:8080/metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from modelmill.contracts import names
from modelmill.engine.plan import Manifest
from modelmill.serving.analysis import Sample

TIMEOUT = aiohttp.ClientTimeout(total=2)
MAX_BYTES = 4 * 1024 * 1024
AT_ONCE = 32


class Scraper:
    """Reads pods over one pool of connections. A pod that does not answer is left out: readiness deals with it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def samples(self, pods: Sequence[Manifest]) -> dict[str, Sample]:
        """Return the counters since each pod's start, by the pod's uid."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        answers = await asyncio.gather(*(self._one(self._session, pod) for pod in pods))
        return {pod["metadata"]["uid"]: sample for pod, sample in zip(pods, answers, strict=True) if sample is not None}

    async def _one(self, session: aiohttp.ClientSession, pod: Manifest) -> Sample | None:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            return None
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._slots, session.get(f"http://{host}:{names.HTTP_PORT}/metrics") as response:
                response.raise_for_status()
                body = await response.content.read(MAX_BYTES)
        except (aiohttp.ClientError, TimeoutError):
            return None
        return parse(body.decode(errors="replace"))


def parse(text: str) -> Sample:
    """Return the counters in a Prometheus exposition."""
    codes: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == names.METRIC_REQUESTS:
                code = sample.labels.get("code", "")
                codes[code] = codes.get(code, 0.0) + sample.value
            elif sample.name == f"{names.METRIC_REQUEST_DURATION}_bucket":
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return Sample(codes, buckets)
