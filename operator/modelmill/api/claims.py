"""Which ModelVersion has an alias: the newest claim of those that are on record, read without the rest of the versions.

A claim is an alias in `spec.aliases` that the operator has seen: `status.claims` says since when. The times of managedFields
alone would not do, since that of a manager moves with all that it writes: who approves a version with the tool that gave it its
alias would claim the alias anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from modelmill.api.references import version_model
from modelmill.api.versions import version_number
from modelmill.kube.conditions import EARLIEST, parse_timestamp
from modelmill.kube.objects import Manifest


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """One claim of an alias; the greatest has it.

    since: when it was made, as far as that was known when it was first seen. Of two of the same second, recorded by operators
    that did not know of each other, that of the newer version counts: by creation, then by number.
    """

    since: datetime
    created: str
    number: int
    version: str


def wanted_aliases(version: Manifest) -> set[str]:
    """Return the aliases that the spec of a ModelVersion claims; none of one that is being deleted."""
    spec = version.get("spec")
    listed = spec.get("aliases") if isinstance(spec, Mapping) else None
    if not isinstance(listed, list) or "deletionTimestamp" in version["metadata"]:
        return set()
    return {alias for alias in listed if isinstance(alias, str)}


def recorded_claims(version: Manifest) -> dict[str, Claim]:
    """Return the claims of a ModelVersion that are on record, and in its spec still, by alias."""
    status = version.get("status")
    listed = status.get("claims") if isinstance(status, Mapping) else None
    wanted = wanted_aliases(version)
    claims = {}
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and one.get("alias") in wanted:
            claims[str(one["alias"])] = claim(version, _moment(one.get("since")))
    return claims


def claims_of(version: Manifest) -> object:
    """Return what others look at of the claims of a ModelVersion, to be compared with another state of it."""
    return version_model(version), sorted(wanted_aliases(version)), sorted(recorded_claims(version).items())


def claim(version: Manifest, since: datetime) -> Claim:
    """Return a claim of the version."""
    name = version["metadata"]["name"]
    return Claim(since, version["metadata"].get("creationTimestamp", ""), version_number(name), name)


def holder(versions: Iterable[Manifest], alias: str) -> str | None:
    """Return the name of the version that has the alias; None when no claim of it is on record. versions: of one model."""
    claims = (recorded_claims(one).get(alias) for one in versions)
    newest = max((one for one in claims if one is not None), default=None)
    return newest.version if newest is not None else None


def after(others: Iterable[Claim], seen: datetime, now: datetime) -> datetime:
    """Return since when a claim counts that was made at `seen`, where these others of the alias are on record.

    It is newer than those of the same second, which were seen before, and those that a clock of before set in the future.
    """
    before = [one.since for one in others if one.since == seen or one.since > now]
    return max([seen, *(since + timedelta(seconds=1) for since in before)])


def _moment(text: Any) -> datetime:
    try:
        return parse_timestamp(text) if isinstance(text, str) else EARLIEST
    except ValueError:
        return EARLIEST
