"""Which aliases a ModelVersion has: its claims are put on record, and the newest claim of each alias wins. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from modelmill.api.claims import after, claim, recorded_claims, wanted_aliases
from modelmill.api.model_version_status import AliasClaim
from modelmill.engine.interface import Event
from modelmill.kube.conditions import FALSE, TRUE, Condition, parse_timestamp, timestamp
from modelmill.kube.managed_fields import item, writer_of
from modelmill.kube.objects import Manifest

ALIASES = ("spec", "aliases")
HELD = "AliasesHeld"
MOVED = "AliasMoved"


def settled(version: Manifest, family: Sequence[Manifest], now: datetime) -> tuple[AliasClaim, ...]:
    """Return the claims of the version, those that are new with since when they count, and who has each alias.

    family: the versions of its model. A claim that is new was made when its field manager last wrote, as the API server noted
    it, so that claims which come together are told apart; later that time says nothing any more. Without it, now.
    """
    wanted, recorded = sorted(wanted_aliases(version)), recorded_claims(version)
    others = [recorded_claims(one) for one in family if one["metadata"]["name"] != version["metadata"]["name"]]
    told = []
    for alias in wanted:
        rivals = [claims[alias] for claims in others if alias in claims]
        own = recorded.get(alias) or claim(version, after(rivals, _made(version, alias, now), now))
        told.append(AliasClaim(alias=alias, since=timestamp(own.since), version=max([own, *rivals]).version))
    return tuple(told)


def _made(version: Manifest, alias: str, now: datetime) -> datetime:
    writer = writer_of(version, (*ALIASES, item(alias)))
    try:
        return min(parse_timestamp(writer.time), now) if writer is not None and writer.time else now
    except ValueError:
        return now


def held(name: str, claims: Sequence[AliasClaim]) -> str | None:
    """Return the aliases that the version has, for its column; None when it has none."""
    return ",".join(one.alias for one in claims if one.version == name) or None


def condition(name: str, claims: Sequence[AliasClaim]) -> Condition | None:
    """Return whether the version has the aliases that it claims; None when it claims none."""
    if not claims:
        return None
    lost = [one for one in claims if one.version != name]
    if not lost:
        return Condition(HELD, TRUE, "Held", f"this version is {', '.join(one.alias for one in claims)}")
    return Condition(HELD, FALSE, MOVED, _lost(lost))


def events(name: str, before: Sequence[AliasClaim], claims: Sequence[AliasClaim]) -> tuple[Event, ...]:
    """Return the Event of the aliases that another version has got since the status of before."""
    knew = {(one.alias, one.version) for one in before}
    lost = [one for one in claims if one.version != name and (one.alias, one.version) not in knew]
    return (Event("Warning", MOVED, _lost(lost)),) if lost else ()


def _lost(lost: Sequence[AliasClaim]) -> str:
    told = ", ".join(f"{one.alias} is {one.version}" for one in lost)
    mend = "take the alias out of that version's spec.aliases to have it back, or out of this one's"
    return f"{told}, whose claim is newer; {mend}"
