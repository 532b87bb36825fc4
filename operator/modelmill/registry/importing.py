"""What becomes of `spec.source`: a Job imports the model, and what it published is put on record in the status. Pure.

The record is written once and never again. Until it is there the Job decides: it is made where there is none, so that whoever
deletes a Job that failed tries again, and it goes when the record is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelmill.api.fingerprint import short_hash
from modelmill.api.imports import IMPORT_CONDITION, Imported, Source, imported_from
from modelmill.api.objects import ModelVersion
from modelmill.contracts import imports, names, result
from modelmill.engine.interface import Delete, Event
from modelmill.kube import labels
from modelmill.kube.conditions import FALSE, TRUE, Condition
from modelmill.kube.objects import Manifest
from modelmill.kube.resources import JOBS
from modelmill.kube.texts import fitted
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.network import Network, build_network_policy
from modelmill.workloads.pod_status import ended
from modelmill.workloads.pods import Pod
from modelmill.workloads.store_access import verbatim

VERIFIED: Final = IMPORT_CONDITION
IMPORTED: Final = "Imported"
IMPORTING: Final = "Importing"
FAILED: Final = "ImportFailed"
LOST: Final = "ResultLost"
JOB_SECONDS: Final = 3600
TRIES_AGAIN: Final = 3
RESULT_SECONDS: Final = 30
"""Time for the pod of a Job that is complete to be seen with its result."""
LOOK_AGAIN_SECONDS: Final = 5.0
REQUESTS: Final = {"cpu": "100m", "memory": "512Mi"}


@dataclass(frozen=True, slots=True)
class Import:
    """A version with a source, the Job that imports it with its pods, when there is one, and the time.

    read: the Job was asked for, since the cache has none: no event will come of it.
    """

    version: ModelVersion
    source: Source
    job: Manifest | None
    pods: Sequence[Manifest]
    now: datetime
    read: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What is next. verified: the condition. imported: what was published, None while nothing was."""

    verified: Condition
    imported: Imported | None = None
    create: tuple[Manifest, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    again: float | None = None


def next_step(view: Import, image: Image) -> Step:
    """Return what is next of the import."""
    version, job = view.version, view.job
    known = version.status.imported
    if known is not None:
        return Step(_done(view, known), known, delete=_without(version, job))
    if job is None:
        text = f"Job {job_name(version)} imports {view.source.uri}"
        return Step(_not_yet(IMPORTING, text), create=(build_job(version, view.source, image),))
    name = job["metadata"]["name"]
    again = f"delete Job {name} to try again, or the version, and create it with another source"
    seen = jobs.observe(job, view.pods, view.now)
    if isinstance(seen, jobs.Failed):
        return _told(view, _failed(view, seen, again))
    if isinstance(seen, jobs.Complete):
        made = _made(view.pods)
        if made is not None:
            told = Event("Normal", IMPORTED, f"{view.source.uri} was published at {made.uri}")
            return Step(_done(view, made), made, events=(told,))
        left = (seen.finished + timedelta(seconds=RESULT_SECONDS) - view.now).total_seconds()
        if left <= 0:
            return _told(view, _not_yet(LOST, f"Job {name} is complete, and what it published is not known: {again}"))
        return Step(_not_yet(IMPORTING, f"Job {name} is complete; its result is awaited"), again=LOOK_AGAIN_SECONDS)
    attempt = f", try {seen.attempt}" if seen.attempt > 1 else ""
    obstacle = f": {seen.message}" if seen.obstacle else ""
    before = f"; before: {seen.previous.describe()}" if seen.previous is not None else ""
    text = f"Job {name} imports {view.source.uri}{attempt}{obstacle}{before}"
    return Step(_not_yet(seen.obstacle or IMPORTING, text), again=LOOK_AGAIN_SECONDS if view.read else None)


def _without(version: ModelVersion, job: Manifest | None) -> tuple[Delete, ...]:
    """Return the deletion of a Job whose result is on record."""
    if job is None or "deletionTimestamp" in job["metadata"]:
        return ()
    return (Delete(JOBS, version.namespace, job["metadata"]["name"], job["metadata"]["uid"]),)


def _told(view: Import, verified: Condition) -> Step:
    """Return the step that says why nothing is imported, by an Event when it is said first."""
    known = [one for one in view.version.status.conditions if one.type == VERIFIED]
    first = not known or known[0].reason != verified.reason
    return Step(verified, events=(Event("Warning", verified.reason, fitted(verified.message, 1000)),) if first else ())


def _failed(view: Import, seen: jobs.Failed, again: str) -> Condition:
    """Return why the import failed. What its pod said outlasts the pod."""
    uri = view.source.uri
    if seen.failure is None:
        for known in view.version.status.conditions:
            if known.type == VERIFIED and known.status == FALSE and known.message.startswith(f"{uri} was not imported"):
                return Condition(VERIFIED, FALSE, known.reason, known.message)
        return _not_yet(FAILED, f"{uri} was not imported: {seen.message}; {again}")
    told = seen.failure.result()
    reason = told.reason if told is not None and told.reason else FAILED
    why = " ".join(told.reasons) if told is not None and told.reasons else seen.failure.describe()
    return _not_yet(reason, f"{uri} was not imported: {fitted(why, 2500)}; {again}")


def _not_yet(reason: str, text: str) -> Condition:
    return Condition(VERIFIED, FALSE, fitted(reason, 64), fitted(text, 4000))


def _done(view: Import, made: Imported) -> Condition:
    text = f"{view.source.uri} was checked, answered rows and was published at {made.uri}: {made.signature}"
    return Condition(VERIFIED, TRUE, IMPORTED, fitted(text, 4000))


def _made(pods: Sequence[Manifest]) -> Imported | None:
    """Return what a pod of the Job says that it published; None when none says so."""
    for pod in jobs.newest_first(pods):
        end = ended(pod, names.STAGE_IMPORT)
        told = end.result() if end is not None and end.exit_code == 0 else None
        if told is None or told.outcome != result.IMPORTED or told.artifact is None:
            continue
        made = imported_from({**asdict(told.artifact), "signature": fitted(told.signature, 1000)})
        if made is not None:
            return made
    return None


def job_name(version: ModelVersion) -> str:
    """Return the name of the Job that imports; a namesake of the version made later has another."""
    return f"{version.name[:44].rstrip('-.')}-import-{short_hash(version.uid)[:6]}"


def build_job(version: ModelVersion, source: Source, image: Image) -> dict[str, Any]:
    """Return the Job that imports: one container, with the keys of the version's store."""
    store = version.spec.store
    told = imports.ImportSpec(
        namespace=version.namespace,
        model=version.spec.model,
        version=version.name,
        uri=source.uri,
        format=source.format,
        store_uri=store.uri,
        created=version.metadata.creation_timestamp,
        digest=source.digest or "",
    )
    env = {names.ENV_IMPORT: verbatim(imports.encode(told)), "HOME": TMP}
    container = Container(
        name=names.STAGE_IMPORT, image=image, requests=REQUESTS, args=[names.STAGE_IMPORT], env=env, store=store
    )
    pod = Pod(containers=[container], service_account=store.service_account_name, restart_policy="Never")
    return jobs.build_job(
        jobs.Job(
            name=job_name(version),
            namespace=version.namespace,
            labels={
                labels.IMPORTS_LABEL: version.name,
                labels.MODEL_LABEL: version.spec.model,
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                "app.kubernetes.io/name": "modelmill-trainer",
                "app.kubernetes.io/instance": version.name,
            },
            tries_again=TRIES_AGAIN,
            deadline_seconds=JOB_SECONDS,
            final_containers=[names.STAGE_IMPORT],
            pod=pod,
        )
    )


def build_policy(version: ModelVersion, source: Source, network: Network) -> dict[str, Any]:
    """Return the NetworkPolicy of that Job's pods: they find names, and reach the store."""
    meta = {"name": job_name(version), "namespace": version.namespace}
    store = version.spec.store
    stores = [store, store.model_copy(update={"uri": source.uri})]
    return build_network_policy(meta, {labels.IMPORTS_LABEL: version.name}, (), stores, network)
