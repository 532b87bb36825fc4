"""Which trials share a pod: a pod costs seconds, the fit of a small model milliseconds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from modelmill.tuning.ledger import SHARD, Entry

MOST_TOLD: Final = 32 << 10
"""Bytes of the parameters of a pod's trials, which its stages are told in one environment variable; Linux takes 128 KiB."""


def share(entries: Iterable[Entry], most: int) -> list[Entry]:
    """Return new trials, in the order of their indexes, divided among pods of so many at most.

    Those of one pod are in one shard, which is written at once: they never part.
    """
    pods: list[list[Entry]] = []
    size = 0
    for one in entries:
        told = len(json.dumps(dict(one.parameters)))
        begun = pods[-1] if pods else []
        if not begun or len(begun) == most or one.index % SHARD == 0 or size + told > MOST_TOLD:
            pods.append([])
            size = 0
        pods[-1].append(one)
        size += told
    return [replace(one, pod=pod[0].index) if len(pod) > 1 else one for pod in pods for one in pod]


def by_pod(entries: Iterable[Entry]) -> list[Sequence[Entry]]:
    """Return trials by the pods that they are in."""
    pods: dict[tuple[int, int], list[Entry]] = {}
    for one in entries:
        pods.setdefault((one.first, one.attempt), []).append(one)
    return list(pods.values())


def room_for_pods(room: int, left: int, most: int) -> int:
    """Return how many of the trials that have room begin: whole pods of so many, or all that are left."""
    return room if room == left else room - room % most
