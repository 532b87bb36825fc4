"""The plan of a ModelVersion: is it approved, who serves it, and may it go. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelmill.api.versions import APPROVED, PENDING, REJECTED
from modelmill.engine.plan import Event, Plan
from modelmill.kube.conditions import FALSE, TRUE, Condition, find, merge
from modelmill.kube.objects import Manifest

HELD = "DeletionHeld"


@dataclass(frozen=True, slots=True)
class Use:
    """An InferenceService that serves the version now, with its share of traffic in percent."""

    service: str
    share: int


@dataclass(frozen=True, slots=True)
class View:
    """One ModelVersion and the InferenceServices of its namespace."""

    parent: Manifest
    services: Sequence[Manifest]
    now: datetime


def uses(view: View) -> list[Use]:
    """Return who serves the version, the greatest share first."""
    name = view.parent["metadata"]["name"]
    found = []
    for service in view.services:
        status = service.get("status") or {}
        stable, canary = status.get("stable") or {}, status.get("canary") or {}
        weight = int(canary.get("actualWeight", 0))
        if stable.get("version") == name:
            found.append(Use(service["metadata"]["name"], 100 - weight))
        elif canary.get("version") == name:
            found.append(Use(service["metadata"]["name"], weight))
    return sorted(found, key=lambda use: (-use.share, use.service))


def plan(view: View) -> Plan:
    """Return what the ModelVersion needs: a finalizer while it is served, and its status."""
    meta = view.parent["metadata"]
    found = uses(view)
    deleting = "deletionTimestamp" in meta
    held = bool(found)
    if deleting and not held:
        return Plan(finalizer=False)
    status = _status(view, found, deleting=deleting)
    events: tuple[Event, ...] = ()
    before = find(view.parent.get("status") or {}, "Deletable")
    if deleting and (before is None or before["reason"] != HELD):
        by = ", ".join(use.service for use in found)
        text = f"not deleted yet: InferenceService {by} serves it; it goes when another version has replaced it"
        events = (Event("Warning", HELD, text),)
    # A new finalizer is not accepted on an object that is being deleted; it was put there when serving began.
    return Plan(finalizer=None if deleting else held, status=status, events=events)


def _status(view: View, found: Sequence[Use], *, deleting: bool) -> dict[str, Any]:
    spec, before = view.parent["spec"], view.parent.get("status") or {}
    generation = int(view.parent["metadata"].get("generation", 1))
    approval = spec.get("approval", PENDING)
    conditions = [_ready(approval), _approved(approval, spec), _deletable(found, deleting=deleting)]
    status: dict[str, Any] = {
        "conditions": merge(before.get("conditions") or (), conditions, generation, view.now),
        "observedGeneration": generation,
        "stage": "Serving" if found else approval,
        "serving": f"{found[0].share}%" if found else "-",
    }
    if found:
        status["servedBy"] = [f"{use.service} {use.share}%" for use in found]
    status.update(_texts(spec))
    return status


def _texts(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns that are computed from the metrics."""
    metric = spec["primary"]["metric"]
    texts = {}
    own = spec["metrics"].get(metric)
    if own is not None:
        texts["metric"] = f"{metric}={float(own):.4g}"
    champion = ((spec.get("champion") or {}).get("metrics") or {}).get(metric)
    if own is not None and champion is not None:
        texts["delta"] = f"{float(own) - float(champion):+.3g}"
    lineage = spec.get("lineage")
    if lineage:
        texts["source"] = f"{lineage['trainingJob']} run {lineage['run']} ({lineage['reason']})"[:64]
    return texts


def _ready(approval: str) -> Condition:
    if approval == REJECTED:
        return Condition("Ready", TRUE, "Kept", "the artifact is kept; a rejected version is not served")
    return Condition("Ready", TRUE, "Published", "the artifact was read back and compared when it was published")


def _approved(approval: str, spec: Mapping[str, Any]) -> Condition:
    if approval == APPROVED:
        return Condition("Approved", TRUE, "Approved", "services that follow the model may serve it")
    if approval == REJECTED:
        failed = "; ".join(gate for gate in spec.get("gates") or () if "fail" in gate.lower())
        return Condition("Approved", FALSE, "Rejected", failed or "rejected")
    mend = "a person approves it by setting spec.approval to Approved"
    return Condition("Approved", FALSE, "WaitingForApproval", mend)


def _deletable(found: Sequence[Use], *, deleting: bool) -> Condition:
    if not found:
        return Condition("Deletable", TRUE, "NotServed", "no InferenceService serves it")
    by = ", ".join(f"{use.service} ({use.share}%)" for use in found)
    then = "; it will be deleted when another version has replaced it" if deleting else ""
    return Condition("Deletable", FALSE, HELD if deleting else "Served", f"InferenceService {by} serves it{then}")
