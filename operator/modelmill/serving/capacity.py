"""How many pods each track has. Pure arithmetic."""

from __future__ import annotations

from fractions import Fraction

FULL = 100
"""Weight of all traffic, percent."""


def divided(replicas: int, weight: int, surge: int = 0) -> tuple[int, int]:
    """Return the pods of the candidate and of the stable track, at least one each, for a weight from 1 to 99 percent.

    surge: how many pods may be added. As few are as bring the candidate's share of the pods nearest to the weight; of equally
    near ones the greater share. Without a surge the candidate's pods are the nearest whole number, and a pod is added only
    where one of the tracks would have none.
    """
    candidate = max(1, min(replicas, (replicas * weight + FULL // 2) // FULL))
    pairs = [(candidate, max(1, replicas - candidate))]
    for total in range(replicas + 1, replicas + surge + 1):
        floor = total * weight // FULL
        pairs += [(one, total - one) for one in (floor, floor + 1) if 0 < one < total]
    return min(pairs, key=lambda pair: (abs(share(*pair) - weight), sum(pair), -pair[0]))


def share(candidate: int, stable: int) -> Fraction:
    """Return the candidate's share of the pods, percent."""
    return Fraction(FULL * candidate, candidate + stable)


def candidate_pods(replicas: int, weight: int, surge: int = 0) -> int:
    """Return the candidate's pods for a weight: all at 100, none at 0; else see `divided`."""
    if weight in (0, FULL):
        return replicas * weight // FULL
    return divided(replicas, weight, surge)[0]


def stable_pods(replicas: int, weight: int, surge: int = 0, *, candidate_ready: int, has: int) -> int:
    """Return the stable track's pods: it gives up one for each ready pod of the candidate, and keeps its own of `divided`.

    At weight 100 it keeps the pods that it `has`: the candidate is about to take their place.
    """
    if weight == FULL:
        return has
    candidate, stable = divided(replicas, weight, surge)
    return max(stable, replicas - min(candidate_ready, candidate))
