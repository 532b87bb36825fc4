"""The few lines of a Prometheus page that are needed, and the counters in them. Pages are hostile until read."""

from __future__ import annotations

import math
import re
from typing import TypeVar

from modelmill.contracts import names, shadow
from modelmill.measuring.samples import COMPARED, DISAGREED, Sample

MAX_LINES = 512
MAX_PAGE_LINES = 100_000  # needed or not: looking at each costs time of the event loop
MAX_LINE = 1024
MAX_LABELS = 16
MAX_CODE = 16
MAX_COUNT = 10**12
"""Of one pod: three thousand requests a second for ten years. The sum of a thousand pods is below 2**53, exact in JSON."""
MAX_BOUND = 1e9  # s, of a bucket but the last: what is computed from it stays finite
_BUCKET = f"{names.METRIC_REQUEST_DURATION}_bucket"
MAX_SUM = 1e100  # of errors of labelled rows, in the unit of what is predicted: its square is finite
_SUMS = {
    f"{names.METRIC_ABSOLUTE_ERROR}_sum": "absolute",
    f"{names.METRIC_SQUARED_ERROR}_sum": "squared",
}
_OF_MIRROR = {shadow.METRIC_COMPARED: COMPARED, shadow.METRIC_DISAGREED: DISAGREED, shadow.METRIC_REQUESTS: ""}
MAX_REVISION = 64
_NEEDED = (f"{names.METRIC_REQUESTS}{{".encode(), f"{_BUCKET}{{".encode())
# A class may have any name: a line that is too long is left out, and the page is read without it.
_OF_VALUES = tuple(
    f"{name}{{".encode()
    for name in (names.METRIC_PREDICTION_BIN, names.METRIC_PREDICTION_EDGE, names.METRIC_FEEDBACK, *_SUMS, *_OF_MIRROR)
)
# Prometheus, text-based exposition format 0.0.4. No text is matched twice (`*+`): a line costs what its length is.
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*+)="([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_K = TypeVar("_K")
_LABELS = re.compile(_LABEL)
_LINE = re.compile(rf"(\w++)\{{((?:{_LABEL}(?:,|(?=\}}))){{0,{MAX_LABELS}}}+)\}}[ \t]++(\S++)(?:[ \t]++-?[0-9]++)?")


class NeededLines:
    """Keeps the needed lines of a page that comes in pieces: a server tells hundreds of series, few names are needed.

    needed: beginnings of lines none of which may be too long. of_values: of lines that are left out when they are too long.
    most: how many lines are kept at most.
    """

    def __init__(
        self, needed: tuple[bytes, ...] = _NEEDED, of_values: tuple[bytes, ...] = _OF_VALUES, most: int = MAX_LINES
    ) -> None:
        self._needed, self._of_values, self._most = needed, of_values, most
        self._rest = b""
        self._page_lines = 0
        self._lines: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises ValueError at more needed lines than `most`, one longer than MAX_LINE bytes, or MAX_PAGE_LINES of any kind.
        """
        self._page_lines += piece.count(b"\n")
        if self._page_lines > MAX_PAGE_LINES:
            raise ValueError(f"more than {MAX_PAGE_LINES} lines")
        *lines, rest = (self._rest + piece).split(b"\n")
        # A line may never end: what is kept of it suffices to see that it is too long.
        self._rest = rest[: MAX_LINE + 1]
        for line in lines:
            if line.startswith(self._needed) or (line.startswith(self._of_values) and len(line) <= MAX_LINE):
                self._keep(line)

    def text(self) -> str:
        """Return the needed lines after the last piece."""
        self.feed(b"\n")
        return "".join(f"{line.decode(errors='replace')}\n" for line in self._lines)

    def _keep(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} bytes")
        if len(self._lines) == self._most:
            raise ValueError(f"more than {self._most} lines of the metrics that are read")
        self._lines.append(line)


def parse(text: str) -> Sample:
    """Return the counters in needed lines. Raises ValueError for a malformed line or a value that no counter has."""
    codes: dict[str, float] = {}
    buckets: dict[float, float] = {}
    bins: dict[str, float] = {}
    edges: dict[str, float] = {}
    scores: dict[tuple[str, str], float] = {}
    mirrored: dict[tuple[str, str], float] = {}
    for line in filter(None, text.split("\n")):
        name, labels, told = series(line)
        version = labels.get("model_version", "")
        if name == names.METRIC_PREDICTION_EDGE:
            edges[labels.get("bin", "")] = _edge(labels.get("bin", ""), told)
        elif name in _SUMS:
            _add(scores, (version, _SUMS[name]), count_of(told, MAX_SUM))
        elif name in _OF_MIRROR:
            _add(mirrored, _mirrored(labels, _OF_MIRROR[name]), count_of(told))
        elif name == names.METRIC_REQUESTS:
            _add(codes, _code(labels.get("code", "")), count_of(told))
        elif name == names.METRIC_PREDICTION_BIN:
            _add(bins, labels.get("bin", ""), count_of(told))
        elif name == names.METRIC_FEEDBACK:
            _add(scores, (version, labels.get("result", "")), count_of(told))
        else:
            _add(buckets, _bound(labels.get("le", "")), count_of(told))
    if max(sum(codes.values()), *buckets.values(), sum(bins.values()), sum(mirrored.values()), 0.0) > MAX_COUNT:
        raise ValueError(f"counters of more than {MAX_COUNT} in all")
    return Sample(codes, buckets, bins, edges, scores, mirrored)


def series(line: str) -> tuple[str, dict[str, str], float]:
    """Return name, labels (escapes as they stand) and value. Raises ValueError for what is no series."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"a line that is no series of at most {MAX_LABELS} labels")
    return match[1], dict(_LABELS.findall(match[2])), float(match[5])


def _add(counters: dict[_K, float], key: _K, count: float) -> None:
    counters[key] = counters.get(key, 0.0) + count


def count_of(value: float, most: float = MAX_COUNT) -> float:
    """Return the value of a counter. Raises ValueError for one that no counter has."""
    if not 0 <= value <= most:  # NaN is not either
        raise ValueError(f"a counter is {value}")
    return value


def _code(text: str) -> str:
    """Return an HTTP code. Raises ValueError for a text that is too long to be one."""
    if len(text) > MAX_CODE:
        raise ValueError(f"a code of {len(text)} characters")
    return text


def _edge(name: str, value: float) -> float:
    """Return the upper bound of a bin of numbers. Raises ValueError when it is none, or the bin has no number as its name."""
    if not (name.isdecimal() and len(name) < MAX_CODE and math.isfinite(value)):
        raise ValueError(f"an edge of a bin is {value}")
    return value


def _mirrored(labels: dict[str, str], what: str) -> tuple[str, str]:
    """Return the key of a counter of mirrored requests. Raises ValueError for a shadow or a result that there cannot be."""
    revision, result = labels.get("shadow_revision", ""), what or labels.get("result", "")
    if len(revision) > MAX_REVISION or (not what and result not in shadow.RESULTS):
        raise ValueError("a shadow or a result of a mirrored request that there cannot be")
    return revision, result


def _bound(text: str) -> float:
    """Return the upper bound of a bucket, s; infinity for the last. Raises ValueError when it is missing or no duration."""
    bound = float(text)
    if not (0 <= bound <= MAX_BOUND or bound == float("inf")):  # NaN is neither
        raise ValueError(f"a bucket's bound is {bound}")
    return bound
