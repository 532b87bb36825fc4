"""What every domain reads from the ModelVersions of a model, and from the alerts in a status."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelmill.api.imports import published
from modelmill.api.model_version import ModelVersionSpec
from modelmill.api.objects import InferenceService, ModelVersion

APPROVED: Final = "Approved"
PENDING: Final = "Pending"
REJECTED: Final = "Rejected"

MAX_NUMBER: Final = 999_999_999
"""A number that is greater is none of ours: names that are made with it would become too long."""
_NUMBER = re.compile(r"-(\d{1,9})$")


def version_number(name: str) -> int:
    """Return the number at the end of a ModelVersion's name, 0 when it has none."""
    match = _NUMBER.search(name)
    return int(match.group(1)) if match else 0


def newest_approved(versions: Iterable[Mapping[str, Any]], model: str) -> Mapping[str, Any] | None:
    """Return the newest approved ModelVersion of the model that has an artifact and is not being deleted, or None.

    Newest by creation, then by number: what was made last was measured on the freshest data.
    """
    candidates = [
        version
        for version in versions
        if version["spec"]["model"] == model
        and version["spec"].get("approval") == APPROVED
        and "deletionTimestamp" not in version["metadata"]
        and "artifact" in published(version)
    ]
    return max(
        candidates,
        key=lambda version: (version["metadata"]["creationTimestamp"], version_number(version["metadata"]["name"])),
        default=None,
    )


def latest_approved(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    """Return the version of one model that services that follow it should serve: see `newest_approved`."""
    return _newest(
        one
        for one in versions
        if one.spec.approval == APPROVED and one.spec.artifact is not None and not one.metadata.deleting
    )


def champion(versions: Iterable[ModelVersion], services: Iterable[InferenceService]) -> ModelVersion | None:
    """Return the version of one model that a challenger is compared with: the newest approved one.

    One that is being deleted counts while it serves: it is held until another has replaced it.
    """
    serving = stable_versions(services)
    return _newest(
        one
        for one in versions
        if one.spec.approval == APPROVED
        and one.spec.artifact is not None
        and (not one.metadata.deleting or one.name in serving)
    )


def stable_versions(services: Iterable[InferenceService]) -> set[str]:
    """Return the names of the versions that services serve, or deploy as their first."""
    return {one.status.stable.version for one in services if one.status.stable is not None}


def _newest(versions: Iterable[ModelVersion]) -> ModelVersion | None:
    return max(versions, key=lambda one: (one.metadata.creation_timestamp, version_number(one.name)), default=None)


def number(text: str | None) -> float | None:
    """Return the finite number in the text of a metric, or None: the schema takes any word."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def gain(version: ModelVersionSpec, metric: str) -> float | None:
    """Return by how much the metric is greater than that of the champion of the time, on the same rows; None when unknown."""
    if version.champion is None:
        return None
    own = number((version.champion.challenger or version.metrics).get(metric))
    champion = number(version.champion.metrics.get(metric))
    return own - champion if own is not None and champion is not None else None


def firing_alerts(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the alerts that the intake recorded in the status of an object."""
    return status.get("alerts") or ()
