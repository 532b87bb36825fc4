"""Write docs/reference/weights.md, the pods of each weight, from the function that counts them; with --check only compare."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from hack.generated import ROOT, keep
from modelmill.serving.capacity import divided, share

PATH = ROOT / "docs" / "reference" / "weights.md"
REPLICAS = range(1, 21)
WEIGHTS = (1, 5, 10, 20, 25, 33, 50, 66, 75, 90, 95)
SURGES = (0, 1, 8)
HEAD = """\
# Weights and pods

With `spec.rollout.traffic.mode: Replicas` a weight is made by numbers of pods: the Service gives each ready pod the same, so
that the new version gets its pods' share of them. Written by `make generate` from `modelmill.serving.capacity.divided`.

A cell has the pods of the new version, those of the stable one, and the share in percent that they make. The columns are
weights, the rows `spec.replicas`. Each version has at least one pod, so that one replica is always 1+1. Shares are of
connections: clients that keep theirs open stay with the pod that they have. [By a gateway](../how-to/gateway.md) weights are
exact, for each request.

A step says what it will make of its weight before it begins: in the Event RolloutStarted or WeightSet and in the condition
Reconciling, e.g. `weight 10 (by pods 33 %)`; `status.canary.actualWeight` is the share of the pods that are ready.

"""
TEXTS = {
    0: """\
## Without more pods (`minimumSurge` left out)

The nearest whole number of pods; a pod is added only where a version would have none.

""",
    1: """\
## `minimumSurge: 1`

One pod more where that brings the share nearer to the weight. This is what Argo Rollouts documents for its basic canary, whose
maxSurge is 25 % by default and so allows a pod at any number of replicas (utils/replicaset/canary.go, v1.9): the share of
floor or ceil(replicas · weight) of replicas or replicas + 1 pods that is nearest, and on a tie the greater one of fewer
pods. All cells of this table are the same there, and those of every weight from 1 to 99 percent: a test compares them.

Without a surge (`maxSurge: 0`) Argo Rollouts adds no pod, so that a weight near 100 leaves the stable version one of its
replicas; here that one is added, as the table above has it (e.g. 4 replicas at 95: 4+1 here, 3+1 there).

""",
    8: """\
## `minimumSurge: 8`

As few pods more, up to eight, as bring the share nearest: 10 percent of two replicas are 1 of 10 pods. The stable version grows
first; the new one gets no request before.

""",
}


def page() -> str:
    """Return the text of the page."""
    return HEAD + "\n".join(TEXTS[surge] + "\n".join(_table(surge)) + "\n" for surge in SURGES)


def _table(surge: int) -> Iterator[str]:
    yield "| Replicas | " + " | ".join(f"{weight} %" for weight in WEIGHTS) + " |"
    yield "|---" * (len(WEIGHTS) + 1) + "|"
    for replicas in REPLICAS:
        yield f"| {replicas} | " + " | ".join(_cell(replicas, weight, surge) for weight in WEIGHTS) + " |"


def _cell(replicas: int, weight: int, surge: int) -> str:
    candidate, stable = divided(replicas, weight, surge)
    return f"{candidate}+{stable} {float(share(candidate, stable)):.3g}"


def main() -> int:
    """Return 0 when the page is up to date or was written."""
    return keep({PATH: page()})


if __name__ == "__main__":
    sys.exit(main())
