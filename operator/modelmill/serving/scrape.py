"""Reads the counters of serving pods for the analysis: GET http://POD:8080/metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import structlog
from prometheus_client.parser import text_string_to_metric_families

from modelmill.contracts import names
from modelmill.kube.objects import Manifest
from modelmill.serving.analysis import Sample

TIMEOUT = aiohttp.ClientTimeout(total=2)
MAX_BYTES = 4 * 1024 * 1024
AT_ONCE = 32
_BUCKET = f"{names.METRIC_REQUEST_DURATION}_bucket"

log = structlog.get_logger(__name__)


class Scraper:
    """Reads pods over one pool of connections. A pod that does not answer is left out: readiness deals with it."""

    def __init__(self, port: int = names.HTTP_PORT) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def samples(self, pods: Sequence[Manifest]) -> dict[str, Sample]:
        """Return the counters since each pod's start, by the pod's uid."""
        if self._session is None:
            # No proxy stands between the operator and a pod.
            self._session = aiohttp.ClientSession(timeout=TIMEOUT, trust_env=False)
        answers = await asyncio.gather(*(self._one(self._session, pod) for pod in pods))
        return {pod["metadata"]["uid"]: sample for pod, sample in zip(pods, answers, strict=True) if sample is not None}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _one(self, session: aiohttp.ClientSession, pod: Manifest) -> Sample | None:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            return None
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._slots, session.get(f"http://{host}:{self._port}/metrics") as response:
                response.raise_for_status()
                return parse(await _body(response))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.debug("no metrics", pod=pod["metadata"]["name"], error=repr(error))
            return None


async def _body(response: aiohttp.ClientResponse) -> str:
    """Return the whole body. Raises ValueError when it is longer than MAX_BYTES."""
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
    return b"".join(parts).decode(errors="replace")


def parse(text: str) -> Sample:
    """Return the counters in a Prometheus exposition. Raises ValueError when a line that is needed is malformed.

    A server tells hundreds of series and two names are needed: the others are not parsed.
    """
    codes: dict[str, float] = {}
    buckets: dict[float, float] = {}
    needed = "\n".join(line for line in text.splitlines() if line.startswith((f"{names.METRIC_REQUESTS}{{", _BUCKET)))
    for family in text_string_to_metric_families(needed + "\n"):
        for sample in family.samples:
            if sample.name == names.METRIC_REQUESTS:
                code = sample.labels.get("code", "")
                codes[code] = codes.get(code, 0.0) + sample.value
            elif sample.name == _BUCKET:
                bound = float(sample.labels["le"])
                buckets[bound] = buckets.get(bound, 0.0) + sample.value
    return Sample(codes, buckets)
