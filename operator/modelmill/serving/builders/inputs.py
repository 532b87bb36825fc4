"""Everything that decides what is in a serving pod: what the builder of the pod gets, and nothing else.

The builder sees neither the spec nor the version, so that nothing of them reaches a pod without being in the hash of these.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pydantic import BaseModel

from modelmill.api.base import Store
from modelmill.api.fingerprint import short_hash
from modelmill.api.objects import InferenceService, ModelVersion
from modelmill.api.payloads import Feedback, PayloadLog
from modelmill.api.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the spec and the version say about the pods.

    A field that a later release adds must have a default that means "as before": it is then not in the hash of a service
    that does not use it.
    """

    service: str
    model: str
    version: str
    artifact_uri: str
    artifact_digest: str
    store: Store
    runtime: Runtime
    drift_features: int = 0
    payload_log: PayloadLog | None = None
    feedback: Feedback | None = None
    mirrors: bool = False

    def hash(self) -> str:
        """Return the hash of what is not at its default."""
        said = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        defaults = {one.name: one.default for one in dataclasses.fields(self)}
        return short_hash({name: _plain(value) for name, value in said.items() if value != defaults[name]})


def inputs_of(service: InferenceService, version: ModelVersion) -> Inputs:
    """Return the inputs of the pods that serve this version, which has an artifact, with the spec of now."""
    artifact = version.spec.artifact
    assert artifact is not None, "target.find_target names no version without one"
    monitoring = service.spec.monitoring
    return Inputs(
        service=service.name,
        model=service.spec.model.name,
        version=version.name,
        artifact_uri=artifact.uri,
        artifact_digest=artifact.digest,
        store=version.spec.store,
        runtime=service.spec.runtime,
        drift_features=monitoring.drift.features if monitoring is not None else 0,
        payload_log=service.spec.payload_log,
        feedback=service.spec.feedback,
        mirrors=service.spec.rollout.strategy == "Shadow",
    )


def _plain(value: object) -> object:
    """Return plain data; defaults of a model are left out for the same reason."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return value
