"""Which trials share a pod."""

from __future__ import annotations

import pytest

from modelmill.tuning.ledger import Entry
from modelmill.tuning.pods import MOST_TOLD, by_pod, room_for_pods, share


def trials(begin: int, count: int, text: str = "0.5") -> list[Entry]:
    return [Entry(begin + place, {"alpha": text}) for place in range(count)]


def pods(entries: list[Entry]) -> list[list[int]]:
    return [[one.index for one in pod] for pod in by_pod(entries)]


def test_pods_are_filled_in_order() -> None:
    assert pods(share(trials(4, 7), 3)) == [[4, 5, 6], [7, 8, 9], [10]]
    assert [one.pod for one in share(trials(4, 4), 3)] == [4, 4, 4, None]
    assert share(trials(4, 2), 1) == trials(4, 2)


def test_no_pod_is_in_two_shards_which_are_written_one_after_the_other() -> None:
    assert pods(share(trials(96, 8), 8)) == [[96, 97, 98, 99], [100, 101, 102, 103]]


def test_what_a_pod_is_told_has_a_bound() -> None:
    assert pods(share(trials(0, 4, "x" * (MOST_TOLD // 2 - 100)), 16)) == [[0, 1], [2, 3]]
    assert pods(share(trials(0, 2, "x" * MOST_TOLD), 16)) == [[0], [1]]


@pytest.mark.parametrize(
    ("room", "left", "most", "begin"), [(8, 40, 3, 6), (2, 40, 3, 0), (2, 2, 3, 2), (0, 0, 3, 0), (5, 9, 1, 5)]
)
def test_whole_pods_begin_or_all_that_are_left(room: int, left: int, most: int, begin: int) -> None:
    assert room_for_pods(room, left, most) == begin


def test_an_attempt_alone_is_another_pod() -> None:
    one, two, three = share(trials(0, 3), 3)
    assert pods([one.alone("why"), two, three]) == [[0], [1, 2]]
    assert pods([one.again(), two.again(), three.again()]) == [[0, 1, 2]]
