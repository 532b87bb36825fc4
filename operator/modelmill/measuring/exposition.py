"""The few lines of a Prometheus page that are needed, and the counters in them. Pages are hostile until read."""

from __future__ import annotations

import re

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
_OF_MIRROR = {shadow.METRIC_COMPARED: COMPARED, shadow.METRIC_DISAGREED: DISAGREED, shadow.METRIC_REQUESTS: ""}
MAX_REVISION = 64
_NEEDED = (
    f"{names.METRIC_REQUESTS}{{".encode(),
    f"{_BUCKET}{{".encode(),
    *(f"{name}{{".encode() for name in _OF_MIRROR),
)
# Prometheus, text-based exposition format 0.0.4. No text is matched twice (`*+`): a line costs what its length is.
_LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*+)="([^"\\]*+(?:\\.[^"\\]*+)*+)"'
_LABELS = re.compile(_LABEL)
_LINE = re.compile(rf"(\w++)\{{((?:{_LABEL}(?:,|(?=\}}))){{0,{MAX_LABELS}}}+)\}}[ \t]++(\S++)(?:[ \t]++-?[0-9]++)?")


class NeededLines:
    """Keeps the needed lines of a page that comes in pieces: a server tells hundreds of series, two names are needed."""

    def __init__(self) -> None:
        self._rest = b""
        self._page_lines = 0
        self._lines: list[bytes] = []

    def feed(self, piece: bytes) -> None:
        """Take the next piece.

        Raises ValueError at more than MAX_LINES needed lines, one longer than MAX_LINE bytes, or MAX_PAGE_LINES of any kind.
        """
        self._page_lines += piece.count(b"\n")
        if self._page_lines > MAX_PAGE_LINES:
            raise ValueError(f"more than {MAX_PAGE_LINES} lines")
        *lines, rest = (self._rest + piece).split(b"\n")
        # A line may never end: what is kept of it suffices to see that it is too long.
        self._rest = rest[: MAX_LINE + 1]
        for line in lines:
            if line.startswith(_NEEDED):
                self._keep(line)

    def text(self) -> str:
        """Return the needed lines after the last piece."""
        self.feed(b"\n")
        return "".join(f"{line.decode(errors='replace')}\n" for line in self._lines)

    def _keep(self, line: bytes) -> None:
        if len(line) > MAX_LINE:
            raise ValueError(f"a line of more than {MAX_LINE} bytes")
        if len(self._lines) == MAX_LINES:
            raise ValueError(f"more than {MAX_LINES} lines of the metrics that are read")
        self._lines.append(line)


def parse(text: str) -> Sample:
    """Return the counters in needed lines. Raises ValueError for a malformed line or a value that no counter has."""
    codes: dict[str, float] = {}
    buckets: dict[float, float] = {}
    mirrored: dict[tuple[str, str], float] = {}
    for line in filter(None, text.split("\n")):
        name, labels, value = _series(line)
        if name == names.METRIC_REQUESTS:
            code = labels.get("code", "")
            if len(code) > MAX_CODE:
                raise ValueError(f"a code of {len(code)} characters")
            codes[code] = codes.get(code, 0.0) + value
        elif name in _OF_MIRROR:
            key = _mirrored(labels, _OF_MIRROR[name])
            mirrored[key] = mirrored.get(key, 0.0) + value
        else:
            bound = _bound(labels.get("le", ""))
            buckets[bound] = buckets.get(bound, 0.0) + value
    if max(sum(codes.values()), *buckets.values(), *mirrored.values(), 0.0) > MAX_COUNT:
        raise ValueError(f"counters of more than {MAX_COUNT} in all")
    return Sample(codes, buckets, mirrored=mirrored)


def _series(line: str) -> tuple[str, dict[str, str], float]:
    """Return name, labels (escapes as they stand) and value. Raises ValueError for what is none or has no count as value."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"a line that is no series of at most {MAX_LABELS} labels")
    count = float(match[5])
    if not 0 <= count <= MAX_COUNT:  # NaN is not either
        raise ValueError(f"a counter is {count}")
    return match[1], dict(_LABELS.findall(match[2])), count


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
