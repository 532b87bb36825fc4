"""The goals of the control loop, and which of them a run kept: ratios to a peer of the same run, and fixed bounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from hack.bench.alone import Death, Idle
from hack.bench.results import Measured

MIB = 2**20
MEMORY_MIB = 15e6 / MIB
RESTART_SECONDS = 3.0
FAILOVER_SECONDS = 17.0
TRAINING_RATIO = 1.5


@dataclass(frozen=True)
class Goal:
    """One row: what is asked, what was measured, the bound, and whether it was kept."""

    title: str
    measured: str
    bound: str
    kept: bool


COLUMNS: Mapping[str, tuple[Callable[[Measured], float], str]] = {
    "first child, median": (lambda one: one.latency(0.5), "ms"),
    "first child, p99": (lambda one: one.latency(0.99), "ms"),
    "CPU per object": (lambda one: one.cpu_ms(), "ms"),
    "burst": (lambda one: one.burst_seconds(), "s"),
    "writes per object": (lambda one: one.writes(), ""),
    "refused writes per object": (lambda one: one.refused(), ""),
    "memory per 1,000 objects": (lambda one: one.memory_mib, "MiB"),
}
TRAINING_COLUMNS = ("first child, median", "first child, p99", "CPU per object")


def beside(ours: Measured, peer: Measured, column: str, ratio: float) -> Goal:
    """Compare a column of ours with a peer's. A loop that left objects without a child or status keeps no goal."""
    value, unit = COLUMNS[column]
    mine, theirs = value(ours), value(peer)
    share = f", {mine / theirs:.2f} of it" if 0 < theirs < float("inf") else ""
    asked = "" if ratio == 1 else f"{ratio:g} times "
    return Goal(
        f"{ours.name()}: {column}",
        f"{mine:.1f} {unit}".strip() + share,
        f"{asked}{theirs:.1f} {unit}".strip() + f" ({peer.name()})",
        mine <= ratio * theirs and not ours.lost(),
    )


def against_peers(measured: Mapping[str, Measured]) -> Iterator[Goal]:
    """Yield the goals that are ratios, of the loops that were measured."""
    if {"training", "training-operator"} <= measured.keys():
        for column in TRAINING_COLUMNS:
            yield beside(measured["training"], measured["training-operator"], column, TRAINING_RATIO)
    for key in ("serving", "serving-shared"):
        if {key, "argo-rollouts"} <= measured.keys():
            for column in COLUMNS:
                goal = beside(measured[key], measured["argo-rollouts"], column, 1)
                if "nan" not in goal.measured + goal.bound:
                    yield goal


def of_memory(measured: Mapping[str, Measured]) -> Iterator[Goal]:
    """Yield the goals of our memory, where it was measured."""
    for key in ("training", "serving"):
        if key in measured and not math.isnan(mib := measured[key].memory_mib):
            title = f"{measured[key].name()}: memory per 1,000 with children"
            yield Goal(title, f"{mib:.1f} MiB", "15 MB", mib <= MEMORY_MIB)


def of_rest(idle: Idle) -> Iterator[Goal]:
    """Yield the goals of rest and restart."""
    with_all = f"with {idle.objects:,} objects"
    text = f"{idle.rest_writes} in {idle.rest_seconds:.0f} s, CPU {idle.rest_cpu_percent:.1f} %"
    yield Goal(f"at rest {with_all}: writes", text, "0", idle.rest_writes == 0)
    text = f"{idle.restart_writes}; quiet after {idle.restart_seconds:.1f} s, CPU {idle.restart_cpu_seconds:.1f} s, "
    text += f"{idle.restart_mib:.0f} MiB"
    yield Goal(f"restart {with_all}: writes", text, "0", idle.restart_writes == 0)


def of_death(death: Death) -> Iterator[Goal]:
    """Yield the goals of a new object's child after SIGKILL; the slowest counts."""
    for title, seconds, bound in (
        ("a single replica killed and started again", death.restarted, RESTART_SECONDS),
        ("leader killed, standby there", death.failed_over, FAILOVER_SECONDS),
    ):
        if seconds:
            text = f"{statistics.median(seconds):.1f} s, slowest of {len(seconds)} {max(seconds):.1f} s"
            where = f"{title}, {death.objects:,} objects in place: child of a new object"
            yield Goal(where, text, f"{bound:g} s", max(seconds) <= bound)
