"""Names of our kinds, labels and annotations, and what every domain reads from a ModelVersion."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from modelmill.api.base import GROUP, VERSION

# group, version, plural, kind
TRAINING_JOB: Final = (GROUP, VERSION, "trainingjobs", "TrainingJob")
MODEL_VERSION: Final = (GROUP, VERSION, "modelversions", "ModelVersion")
INFERENCE_SERVICE: Final = (GROUP, VERSION, "inferenceservices", "InferenceService")

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "modelmill"
TRAINING_JOB_LABEL: Final = f"{GROUP}/training-job"
RUN_LABEL: Final = f"{GROUP}/run-number"
MODEL_LABEL: Final = f"{GROUP}/model"
VERSION_LABEL: Final = f"{GROUP}/model-version"
SERVICE_LABEL: Final = f"{GROUP}/inference-service"
REVISION_LABEL: Final = f"{GROUP}/revision"
OWNER_UID_LABEL: Final = f"{GROUP}/owner-uid"
RULES_LABEL: Final = f"{GROUP}/prometheus-rules"

RUN_ANNOTATION: Final = f"{GROUP}/run"
RETRY_ANNOTATION: Final = f"{GROUP}/retry"

APPROVED: Final = "Approved"
PENDING: Final = "Pending"
REJECTED: Final = "Rejected"

_NUMBER = re.compile(r"-(\d{1,9})$")


def version_number(name: str) -> int:
    """Return the number at the end of a ModelVersion's name, 0 when it has none."""
    match = _NUMBER.search(name)
    return int(match.group(1)) if match else 0


def newest_approved(versions: Iterable[Mapping[str, Any]], model: str) -> Mapping[str, Any] | None:
    """Return the newest approved ModelVersion of the model that is not being deleted, or None.

    Newest by creation, then by number: what was made last was measured on the freshest data.
    """
    candidates = [
        version
        for version in versions
        if version["spec"]["model"] == model
        and version["spec"].get("approval") == APPROVED
        and "deletionTimestamp" not in version["metadata"]
    ]
    return max(
        candidates,
        key=lambda version: (version["metadata"]["creationTimestamp"], version_number(version["metadata"]["name"])),
        default=None,
    )


def short_hash(*parts: Any) -> str:
    """Return 10 hex digits of the SHA-256 of plain data or models; defaults of a model do not count.

    Leaving defaults out keeps the hash of an old object when a later release adds a field.
    """
    plain = [
        part.model_dump(mode="json", by_alias=True, exclude_defaults=True) if isinstance(part, BaseModel) else part
        for part in parts
    ]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def firing_alerts(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the alerts that the intake recorded in the status of an object."""
    return status.get("alerts") or ()
