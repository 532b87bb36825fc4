"""Our three kinds as typed objects, read from manifests; a status is written back as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from modelmill.api.base import Alert
from modelmill.api.imports import with_published
from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.api.inference_service_status import InferenceServiceStatus
from modelmill.api.model_version import MAX_NAME, NAME_TOO_LONG, ModelVersionSpec
from modelmill.api.model_version_status import ModelVersionStatus
from modelmill.api.training_job import TrainingJobSpec
from modelmill.api.training_job_status import TrainingJobStatus
from modelmill.kube.objects import Manifest, ObjectInvalid

Spec = TypeVar("Spec")
Status = TypeVar("Status")


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What is read of an object's metadata. Times are RFC 3339 texts; `deletion_timestamp` is None while it is to stay."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()

    @property
    def deleting(self) -> bool:
        """Whether the object is being deleted."""
        return self.deletion_timestamp is not None


@dataclass(frozen=True, slots=True)
class TypedObject(Generic[Spec, Status]):
    """One custom resource: `metadata`, `spec` and `status`, the latter empty when nothing was written yet."""

    metadata: ObjectMeta
    spec: Spec
    status: Status

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """Identity of the object: a namesake made later has another."""
        return self.metadata.uid


TrainingJob = TypedObject[TrainingJobSpec, TrainingJobStatus]
ModelVersion = TypedObject[ModelVersionSpec, ModelVersionStatus]
InferenceService = TypedObject[InferenceServiceSpec, InferenceServiceStatus]

_TRAINING_JOB = (TypeAdapter(TrainingJobSpec), TypeAdapter(TrainingJobStatus))
_MODEL_VERSION = (TypeAdapter(ModelVersionSpec), TypeAdapter(ModelVersionStatus))
_INFERENCE_SERVICE = (TypeAdapter(InferenceServiceSpec), TypeAdapter(InferenceServiceStatus))
_STATUSES: dict[type[Any], TypeAdapter[Any]] = {
    TrainingJobStatus: _TRAINING_JOB[1],
    ModelVersionStatus: _MODEL_VERSION[1],
    InferenceServiceStatus: _INFERENCE_SERVICE[1],
    Alert: TypeAdapter(Alert),
}
_KEPT = 512
# By uid, with the manifest that was read: the cache may hand out an equal one the next time.
_read_last: dict[str, tuple[Manifest, list[Any]]] = {}


def read_training_job(manifest: Manifest) -> TrainingJob:
    """Return the typed object. Raises ObjectInvalid naming the field that another schema let through."""
    return TypedObject(read_meta(manifest), *_parts(manifest, *_TRAINING_JOB))


def read_model_version(manifest: Manifest) -> ModelVersion:
    """Return the typed object, the spec with what its import published.

    Raises ObjectInvalid naming the field that another schema let through.
    """
    return _model_version(with_published(manifest))


def _model_version(manifest: Manifest) -> ModelVersion:
    meta = read_meta(manifest)
    if len(meta.name) > MAX_NAME:
        raise ObjectInvalid("metadata.name", NAME_TOO_LONG)
    return TypedObject(meta, *_parts(manifest, *_MODEL_VERSION))


def read_inference_service(manifest: Manifest) -> InferenceService:
    """Return the typed object. Raises ObjectInvalid naming the field that another schema let through."""
    return TypedObject(read_meta(manifest), *_parts(manifest, *_INFERENCE_SERVICE))


def readable_model_versions(manifests: Iterable[Manifest]) -> list[ModelVersion]:
    """Return those that can be read, without their statuses; of the others their own condition tells."""
    return _readable(manifests, lambda one: _model_version(without_status(with_published(one))))


def readable_inference_services(manifests: Iterable[Manifest]) -> list[InferenceService]:
    """Return those that can be read; of the others their own condition tells."""
    return _readable(manifests, read_inference_service)


def readable_training_jobs(manifests: Iterable[Manifest]) -> list[TrainingJob]:
    """Return those that can be read; of the others their own condition tells."""
    return _readable(manifests, read_training_job)


def without_status(manifest: Manifest) -> Manifest:
    """Return the object for a reader of its spec alone: what another release wrote into the status is then no fault of it."""
    return {**manifest, "status": None}


def read_meta(manifest: Manifest) -> ObjectMeta:
    """Return the metadata of any object."""
    meta = manifest["metadata"]
    return ObjectMeta(
        name=meta["name"],
        namespace=meta.get("namespace", ""),
        uid=meta.get("uid", ""),
        generation=int(meta.get("generation", 1)),
        resource_version=meta.get("resourceVersion", ""),
        creation_timestamp=meta.get("creationTimestamp", ""),
        deletion_timestamp=meta.get("deletionTimestamp"),
        labels=meta.get("labels") or {},
        annotations=meta.get("annotations") or {},
        finalizers=tuple(meta.get("finalizers") or ()),
    )


def status_manifest(status: Any) -> dict[str, Any]:
    """Return a typed status, or an alert in one, as plain data with camelCase names; what is None or empty is left out."""
    dumped: dict[str, Any] = _STATUSES[type(status)].dump_python(status, mode="json", by_alias=True, exclude_none=True)
    _drop_empty(dumped)
    return dumped


def _drop_empty(value: Any) -> None:
    """Remove what is empty from freshly dumped data, in place: a status is dumped in every plan."""
    # From within: what holds nothing but what is empty is empty itself.
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            _drop_empty(item)
    if isinstance(value, dict):
        for name in [name for name, item in value.items() if item in ({}, [])]:
            del value[name]


def _parts(manifest: Manifest, spec: TypeAdapter[Spec], status: TypeAdapter[Status]) -> tuple[Spec, Status]:
    return _validated("spec", spec, manifest.get("spec") or {}), _validated(
        "status", status, manifest.get("status") or {}
    )


def _validated(where: str, adapter: TypeAdapter[Any], raw: Any) -> Any:
    try:
        return adapter.validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ObjectInvalid(".".join([where, *(str(part) for part in first["loc"])]), first["msg"]) from None


def _readable(
    manifests: Iterable[Manifest], read: Callable[[Manifest], TypedObject[Spec, Status]]
) -> list[TypedObject[Spec, Status]]:
    """Return those that can be read. Every plan of a model reads its objects, which change seldom: the last ones are kept."""
    found: list[TypedObject[Spec, Status]] = []
    for manifest in manifests:
        uid = manifest["metadata"].get("uid", "")
        known = _read_last.get(uid)
        if known is None or (known[0] is not manifest and known[0] != manifest):
            known = (manifest, _or_none(manifest, read))
            _read_last.pop(uid, None)
            while len(_read_last) >= _KEPT:
                del _read_last[next(iter(_read_last))]
            _read_last[uid] = known
        found += known[1]
    return found


def _or_none(
    manifest: Manifest, read: Callable[[Manifest], TypedObject[Spec, Status]]
) -> list[TypedObject[Spec, Status]]:
    try:
        return [read(manifest)]
    except ObjectInvalid:
        return []
