"""The commands of docs/how-to/find-and-fetch-versions.md, with kubectl against a real API server."""

from __future__ import annotations

import random
import shlex
from typing import Any

import pytest

from hack.bench import load
from modelmill.training.builders.model_version import number_text
from tests.support.api_server import Cluster, Start
from tests.support.pages import blocks
from tests.support.programs import ROOT

pytestmark = pytest.mark.integration

PAGE = ROOT / "docs" / "how-to" / "find-and-fetch-versions.md"
R2 = (-12.5, -0.2, 0.0, 1.2e-05, 0.0789, 0.09, 0.5, 0.912345, 0.99)
MAE = (123456789.0, 1_000_001.0, 99.5, 10.0, 9.5, 2.0, 0.31, 0.0004, 2e-09)


def commands(*words: str) -> list[list[str]]:
    """Return the kubectl commands of the page that have all these words, without kubectl itself."""
    lines = [line.strip() for line in "\n".join(blocks(PAGE)).splitlines()]
    found = [
        shlex.split(line)[1:] for line in lines if line.startswith("kubectl ") and all(one in line for one in words)
    ]
    assert found, words
    return found


def run(cluster: Cluster, namespace: str, command: list[str]) -> str:
    return cluster.kubectl(*(namespace if word == "ml" else word for word in command))


def version(namespace: str, number: int, **spec: Any) -> dict[str, Any]:
    made = load.model_version(namespace, "fuel-economy")
    made["metadata"]["name"] = f"fuel-economy-{number}"
    made["spec"] |= {"trained": f"2026-01-{number:02}T00:00:00Z", **spec}
    return made


@pytest.fixture
def ranked(cluster: Cluster, namespace: str) -> list[str]:
    """Make versions in an order of their own, and return their names, the worst first."""
    numbers = random.Random(7).sample(range(1, 10), 9)
    pairs = zip(numbers, R2, MAE, strict=True)
    cluster.apply(
        *(
            version(namespace, number, metrics={"r2": number_text(r2), "mae": number_text(mae)})
            for number, r2, mae in pairs
        )
    )
    other = load.model_version(namespace, "trucks")
    other["spec"]["metrics"] = {"r2": "0.999"}
    cluster.apply(other)
    return [f"fuel-economy-{number}" for number in numbers]


def names(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines()[1:]]


def test_versions_sort_by_any_metric_as_numbers(cluster: Cluster, namespace: str, ranked: list[str]) -> None:
    by_r2, best, third, least = commands("--sort-by=.spec.metrics")
    assert names(run(cluster, namespace, by_r2)) == ranked
    assert run(cluster, namespace, best) == ranked[-1]
    assert run(cluster, namespace, third) == ranked[-3]
    assert run(cluster, namespace, least) == ranked[-1]


def test_rejected_versions_and_those_without_the_metric(cluster: Cluster, namespace: str, ranked: list[str]) -> None:
    cluster.apply(version(namespace, 10, metrics={"r2": "0.995"}, approval="Rejected"))
    cluster.apply(version(namespace, 11, metrics={"accuracy": "1"}))
    by_r2, best, *_ = commands("--sort-by=.spec.metrics")
    assert names(run(cluster, namespace, by_r2)) == ["fuel-economy-11", *ranked, "fuel-economy-10"]
    assert run(cluster, namespace, best) == "fuel-economy-10"
    passed = [f"{word},spec.approval!=Rejected" if word.startswith("spec.model=") else word for word in best]
    assert run(cluster, namespace, passed) == ranked[-1]


def test_what_is_below_nine_decimal_places_counts_as_equal(cluster: Cluster, namespace: str) -> None:
    cluster.apply(version(namespace, 1, metrics={"r2": "3e-10"}), version(namespace, 2, metrics={"r2": "2e-10"}))
    by_r2, *_ = commands("--sort-by=.spec.metrics")
    assert names(run(cluster, namespace, by_r2)) == ["fuel-economy-1", "fuel-economy-2"]


def test_where_a_version_is_and_which_was_last_months(cluster: Cluster, namespace: str, ranked: list[str]) -> None:
    (where,) = commands("{.spec.artifact.uri}")
    found = cluster.find("modelversion", "fuel-economy-3", "-n", namespace)
    assert found is not None
    artifact = found["spec"]["artifact"]
    assert run(cluster, namespace, where).split() == [artifact["uri"], artifact["digest"]]
    (by_age,) = commands("--sort-by=.spec.trained")
    assert names(run(cluster, namespace, by_age)) == [f"fuel-economy-{number}" for number in range(1, 10)]


def test_an_alias_is_claimed_moves_and_goes_back(
    cluster: Cluster, namespace: str, start: Start, ranked: list[str]
) -> None:
    start()
    give, take = commands("aliases")

    def aliased() -> dict[str, str]:
        found = cluster.items("modelversions", namespace)
        have = {one["metadata"]["name"]: (one.get("status") or {}).get("aliases") for one in found}
        return {name: aliases for name, aliases in have.items() if aliases}

    other = [word.replace("economy-3", "economy-5") for word in give]
    run(cluster, namespace, other)
    cluster.eventually(lambda: aliased() == {"fuel-economy-5": "champion"}, "the first claim")
    run(cluster, namespace, give)
    cluster.eventually(lambda: aliased() == {"fuel-economy-3": "champion"}, "the newer claim")

    def told() -> bool:
        return any(
            one["reason"] == "AliasMoved" and one["involvedObject"]["name"] == "fuel-economy-5"
            for one in cluster.items("events", namespace)
        )

    cluster.eventually(told, "the Event of the loser")
    assert "champion" in cluster.kubectl("get", "mmv", "fuel-economy-3", "-n", namespace)
    run(cluster, namespace, take)
    cluster.eventually(lambda: aliased() == {"fuel-economy-5": "champion"}, "the claim before")


def test_claims_made_without_an_operator_are_told_apart_by_the_api_server(
    cluster: Cluster, namespace: str, start: Start, ranked: list[str]
) -> None:
    """The one that was written last has the alias, though the names and the numbers say otherwise."""
    for number in (9, 2):
        claim = '{"spec":{"aliases":["champion"]}}'
        cluster.kubectl("patch", "mmv", f"fuel-economy-{number}", "-n", namespace, "--type=merge", "-p", claim)
        found = cluster.find("modelversion", f"fuel-economy-{number}", "-n", namespace, "--show-managed-fields") or {}
        written = max(one["time"] for one in found["metadata"]["managedFields"])

        def passed(written: str = written) -> bool:
            """Whether the API server's second is another."""
            probe = load.model_version(namespace, "probe")
            cluster.kubectl("delete", "mmv", "probe-1", "-n", namespace, "--ignore-not-found")
            cluster.apply(probe)
            made = cluster.find("modelversion", "probe-1", "-n", namespace) or {}
            return bool(made["metadata"]["creationTimestamp"] > written)

        cluster.eventually(passed, "the next second")
    start()

    def claims() -> list[str]:
        status = cluster.status("modelversions", namespace, "fuel-economy-9")
        return [one["version"] for one in status.get("claims") or ()]

    cluster.eventually(lambda: claims() == ["fuel-economy-2"], "the claim of the second that is newer")
