"""Pages of metrics, good and hostile."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.measuring.exposition import MAX_COUNT, MAX_LABELS, MAX_LINE, MAX_LINES, NeededLines, parse
from modelmill.measuring.samples import QUANTILES, Sample, error_ratio, quantile
from tests.support.expositions import PAGE

INF = float("inf")
MANY_LABELS = ",".join(f'l{number}=""' for number in range(MAX_LABELS))


def figures(sample: Sample) -> list[float]:
    return [error_ratio(sample), *(quantile(sample, share) for share in QUANTILES.values())]


def read(*pieces: bytes) -> Sample:
    lines = NeededLines()
    for piece in pieces:
        lines.feed(piece)
    return parse(lines.text())


def test_counters_are_read() -> None:
    sample = read(PAGE.encode())
    assert sample.codes == {"200": 7.0, "500": 1.0}
    assert sample.buckets == {0.1: 6.0, INF: 8.0}


def test_counters_of_mirrored_requests_are_read_by_shadow() -> None:
    page = """
modelmill_shadow_requests_total{model_name="m",model_version="1",shadow_version="2",shadow_revision="r",result="2xx"} 7.0
modelmill_shadow_requests_total{model_name="m",model_version="1",shadow_version="2",shadow_revision="r",result="timeout"} 2.0
modelmill_shadow_compared_total{model_name="m",model_version="1",shadow_version="2",shadow_revision="r"} 7.0
modelmill_shadow_disagreed_total{shadow_revision="r",reason="value"} 2.0
modelmill_shadow_disagreed_total{shadow_revision="r",reason="status"} 1.0
modelmill_shadow_compared_total{shadow_revision="q"} 5.0
modelmill_shadow_dropped_total{shadow_revision="r",reason="queue_full"} 9.0
"""
    told = {("r", "2xx"): 7, ("r", "timeout"): 2, ("r", "compared"): 7, ("r", "disagreed"): 3, ("q", "compared"): 5}
    assert read(page.encode()).mirrored == told


def test_page_without_requests_counts_nothing() -> None:
    assert read(b"").requests == 0


@given(st.lists(st.integers(0, len(PAGE)), max_size=12))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), len(PAGE)]
    pieces = [PAGE[a:b].encode() for a, b in itertools.pairwise(bounds)]
    assert read(*pieces) == read(PAGE.encode())


def test_last_line_needs_no_end() -> None:
    assert read(PAGE.encode(), b'modelmill_requests_total{code="503"} 2').codes["503"] == 2


@pytest.mark.parametrize(
    "line",
    [
        'modelmill_requests_total{code="200"} many',
        "modelmill_requests_total{ broken",
        'modelmill_requests_total{code="200"} NaN',
        'modelmill_requests_total{code="200"} +Inf',
        'modelmill_requests_total{code="200"} -1',
        'modelmill_requests_total{code="200"} 1e999',
        'modelmill_requests_total{code="200"} 1e300',
        f'modelmill_requests_total{{code="200"}} {"9" * 400}',
        f'modelmill_requests_total{{code="200"}} {MAX_COUNT + 1}',
        f'modelmill_requests_total{{code="503"}} {MAX_COUNT - 7}',  # one too many, with those of PAGE
        'modelmill_requests_total{code="200"} 0x10',
        'modelmill_requests_total{code="200"} ',
        'modelmill_requests_total{code="200"',
        'modelmill_requests_total{code="200} 1',
        'modelmill_requests_total{code="200\\"} 1',
        "modelmill_requests_total{code=200} 1",
        'modelmill_requests_total{code="200"code="500"} 1',
        f'modelmill_requests_total{{{MANY_LABELS},code="200"}} 1',
        f'modelmill_requests_total{{code="{"2" * 17}"}} 1',
        'modelmill_request_duration_seconds_bucket{model_name="m"} 1',
        'modelmill_request_duration_seconds_bucket{le=""} 1',
        'modelmill_request_duration_seconds_bucket{le="NaN"} 1',
        'modelmill_request_duration_seconds_bucket{le="-Inf"} 1',
        'modelmill_request_duration_seconds_bucket{le="-0.5"} 1',
        'modelmill_request_duration_seconds_bucket{le="1e308"} 1',
        'modelmill_request_duration_seconds_bucket{le="soon"} 1',
        'modelmill_request_duration_seconds_bucket{le="0.1"} NaN',
        'modelmill_request_duration_seconds_bucket{le="0.1"} 1e300',
        f'modelmill_requests_total{{model_name="{"m" * MAX_LINE}",code="200"}} 1',
        'modelmill_shadow_requests_total{shadow_revision="r",result="better"} 1',
        'modelmill_shadow_requests_total{shadow_revision="r"} 1',
        f'modelmill_shadow_compared_total{{shadow_revision="{"r" * 65}"}} 1',
        'modelmill_shadow_compared_total{shadow_revision="r"} -1',
    ],
)
def test_line_that_no_server_tells_refuses_the_page(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(PAGE.encode(), line.encode())


@pytest.mark.parametrize(
    ("line", "code", "count"),
    [
        ('modelmill_requests_total{code="503"} 2.0', "503", 2),
        ('modelmill_requests_total{code="503"}\t 2e+00', "503", 2),
        ('modelmill_requests_total{code="503",} 2 1700000000000', "503", 2),
        ('modelmill_requests_total{model_name="a \\"b\\", {c}=\\\\",code="503"} 2', "503", 2),
        ('modelmill_requests_total{model_name=",code=\\"500\\"",code="503"} 2', "503", 2),
        ('modelmill_requests_total{status_code="500",code="503"} 2', "503", 2),
        ('modelmill_requests_total{model_name="m\x85\x0bn\xff",code="503"} 2', "503", 2),
        (f'modelmill_requests_total{{code="503"}} {MAX_COUNT - 8}', "503", MAX_COUNT - 8),
        ("modelmill_requests_total{} 2", "", 2),
    ],
)
def test_every_form_of_a_line_is_read(line: str, code: str, count: float) -> None:
    assert read(PAGE.encode(), line.encode("latin-1")).codes == {"200": 7, "500": 1, code: count}


LABELS = st.tuples(
    st.sampled_from(["code", "le", "model_name", "0", ""]),
    st.sampled_from(["200", "503", "0.1", "+Inf", "NaN", "-1", "1e308", "9" * 400, '"', "\\"]) | st.text(max_size=4),
).map(lambda label: f'{label[0]}="{label[1]}"')
VALUES = st.floats().map(str) | st.integers(0, 10**400).map(str) | st.text(max_size=4)
LINES = st.tuples(
    st.sampled_from(["modelmill_requests_total", "modelmill_request_duration_seconds_bucket"]),
    st.lists(LABELS, max_size=3).map(",".join),
    VALUES,
).map(lambda line: f"{line[0]}{{{line[1]}}} {line[2]}\n")


@given(st.lists(LINES, max_size=4).map("".join))
def test_a_page_is_refused_or_counts_what_a_status_can_tell(page: str) -> None:
    try:
        sample = read(page.encode(errors="surrogatepass"))
    except ValueError:
        return
    assert 0 <= sample.requests <= MAX_COUNT
    assert all(math.isfinite(value) for value in figures(sample))


def test_more_lines_than_any_server_tells_refuse_the_page() -> None:
    series = [f'modelmill_requests_total{{code="{number}"}} 1\n'.encode() for number in range(MAX_LINES + 1)]
    assert read(*series[:-1]).requests == MAX_LINES
    with pytest.raises(ValueError, match=str(MAX_LINES)):
        read(*series)


def test_line_that_never_ends_is_not_kept() -> None:
    lines = NeededLines()
    for _ in range(1000):
        lines.feed(b"x" * 1000)
    assert len(lines._rest) <= MAX_LINE + 1
    lines.feed(b"\n" + PAGE.encode())
    assert parse(lines.text()).requests == 8


def test_a_page_of_nothing_but_line_ends_is_refused() -> None:
    lines = NeededLines()
    lines.feed(b"\n" * 65536)
    with pytest.raises(ValueError, match="more than 100000 lines"):
        lines.feed(b"\n" * 65536)


counts = st.sampled_from(["0", "1", "7", "50", "1e12", "NaN", "+Inf", "-1", "1e308", "1e999", "x"])
series = st.one_of(
    st.builds('modelmill_requests_total{{code="{}"}} {}\n'.format, st.sampled_from(["200", "500", ""]), counts),
    st.builds(
        'modelmill_request_duration_seconds_bucket{{le="{}"}} {}\n'.format,
        st.sampled_from(["0.1", "1", "+Inf", "-Inf", "NaN", "", "0", "1e9", "1e308"]),
        counts,
    ),
    st.just("modelmill_request_duration_seconds_bucket{} 3\n"),
)
pages = st.lists(series, max_size=6).map(lambda lines: "".join(lines).encode())


def sample_of(page: bytes) -> Sample:
    """Return what a page counts; nothing when it is refused, as for a pod that did not answer."""
    try:
        return read(page)
    except ValueError:
        return Sample()


@given(st.lists(st.tuples(pages, pages), min_size=1, max_size=4))
def test_whatever_pods_count_there_is_a_judgement_that_can_be_written(pods: list[tuple[bytes, bytes]]) -> None:
    """Counters of any value, that grow, shrink or vanish between two readings."""
    total = Sample()
    for before, after in pods:
        total = total.plus(sample_of(after).minus(sample_of(before)))
    assert 0 <= int(total.requests) < 2**63
    for value in figures(total):
        assert 0 <= value < math.inf
