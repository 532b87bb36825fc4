"""Lines of connection tracking."""

from __future__ import annotations

import pytest

from tests.support.flows import Flow, read

LINE = (
    "    [NEW] tcp      6 120 SYN_SENT src=10.244.0.7 dst=10.96.160.20 sport=40000 dport=80 [UNREPLIED] "
    "src=10.244.0.5 dst=10.244.0.7 sport=7070 dport=40000"
)


@pytest.mark.parametrize("line", [LINE, LINE.removeprefix("    [NEW] ")], ids=["event", "list"])
def test_the_target_of_a_service_is_its_pod(line: str) -> None:
    assert read(line) == Flow("10.244.0.7", "10.244.0.5", 7070, "TCP")


@pytest.mark.parametrize(
    "line", ["", "conntrack v1.4.7", LINE.partition("[UNREPLIED]")[0], LINE.replace("tcp", "icmp")]
)
def test_other_lines_are_none(line: str) -> None:
    assert read(line) is None
