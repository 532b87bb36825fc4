"""`GET /metrics` in the forms that scrapers read, made by prometheus-client.

It takes some 15 µs for each sample, and a model of many features has thousands: on an event loop that answers
requests meanwhile, a scrape is made in slices of at most SLICE_SAMPLES, with a turn for the requests between two. All
samples are of one moment, that of the scrape's begin. Sources of the forms: Prometheus, text-based exposition format
0.0.4; OpenMetrics 1.0.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client import exposition
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics

OPENMETRICS: Final = "application/openmetrics-text"
OPENMETRICS_VERSIONS: Final = ("1.0.0", "")  # of the Accept header; those before 1.0.0 are not spoken
SLICE_SAMPLES: Final = 32
HEAD_LINES: Final = 2  # of a family: HELP and TYPE
END: Final = b"# EOF\n"


class Exposition:
    """All metrics of the server. sources: each yields families at every scrape."""

    def __init__(self) -> None:
        self.sources: Sequence[Callable[[], Iterable[Metric]]] = ()

    async def render(self, accept: str = "") -> tuple[bytes, str]:
        """Return all metrics and their content type.

        accept: the request's Accept header, whatever it holds; OpenMetrics where it names that, else Prometheus' text form.
        """
        spoken = any(_is_open_metrics(accepted) for accepted in accept.split(","))
        parts = []
        for part in _slices([family for source in self.sources for family in source()]):
            text = _open_metrics(part) if spoken else exposition.generate_latest(part)
            parts.append(text.split(b"\n", HEAD_LINES)[HEAD_LINES] if part.continued else text)
            await asyncio.sleep(0)
        if spoken:
            return b"".join((*parts, END)), openmetrics.CONTENT_TYPE_LATEST
        return b"".join(parts), exposition.CONTENT_TYPE_PLAIN_0_0_4


class _Slice:
    """A part of one family, as a collector of prometheus-client. continued: its family has begun in the slice before."""

    def __init__(self, family: Metric, begin: int) -> None:
        self._family = Metric(family.name, family.documentation, family.type)
        self._family.samples = family.samples[begin : begin + SLICE_SAMPLES]
        self.continued = begin > 0

    def collect(self) -> Iterable[Metric]:
        """Yield the part."""
        yield self._family


def _slices(families: Iterable[Metric]) -> Iterable[_Slice]:
    for family in families:
        for begin in range(0, max(len(family.samples), 1), SLICE_SAMPLES):
            yield _Slice(family, begin)


def _open_metrics(part: _Slice) -> bytes:
    text: bytes = openmetrics.generate_latest(part, version="1.0.0")  # type: ignore[no-untyped-call]
    return text.removesuffix(END)


def _is_open_metrics(accepted: str) -> bool:
    kind, *parameters = (part.strip() for part in accepted.split(";"))
    version = next((text.partition("=")[2] for text in parameters if text.startswith("version=")), "")
    return kind == OPENMETRICS and version in OPENMETRICS_VERSIONS
