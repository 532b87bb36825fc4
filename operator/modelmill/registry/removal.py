"""What becomes of the artifact of a version that is being deleted: a Job removes it, or it stays and that is told. Pure.

The version is held by its finalizer until then, but never for ever: a Job that fails, that is not made, or whose pod never runs
is waited for until a deadline, which counts from the condition that was written before the Job was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelmill.api.fingerprint import short_hash
from modelmill.api.imports import published
from modelmill.api.model_version import ArtifactRef
from modelmill.api.objects import ModelVersion
from modelmill.contracts import names
from modelmill.engine.interface import Event
from modelmill.kube import labels
from modelmill.kube.conditions import FALSE, Condition, parse_timestamp, timestamp
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.network import Network, build_network_policy
from modelmill.workloads.pods import Pod
from modelmill.workloads.store_access import verbatim

REMOVED: Final = "ArtifactRemoved"
REMOVING: Final = "Removing"
KEPT: Final = "ArtifactKept"
DELETE: Final = "Delete"
JOB_SECONDS: Final = 600
DEADLINE_SECONDS: Final = 900
"""Time to remove an artifact in, from when it may go; longer than its Job, whose own words are then known."""
LOOK_AGAIN_SECONDS: Final = 5.0
TRIES_AGAIN: Final = 3
REQUESTS: Final = {"cpu": "50m", "memory": "192Mi"}


@dataclass(frozen=True, slots=True)
class Sharer:
    """Another version with the same artifact. place: namespace and name. goes: it is being deleted, and would remove it too."""

    place: tuple[str, str]
    goes: bool


@dataclass(frozen=True, slots=True)
class Removal:
    """A version that is being deleted, that nothing uses any more, and its artifact, which is to go with it.

    sharers: other versions with the artifact. job: the Job that removes it, with its pods, when there is one.
    """

    version: ModelVersion
    artifact: ArtifactRef
    sharers: Sequence[Sharer]
    job: Manifest | None
    pods: Sequence[Manifest]
    now: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What is next. condition: None when nothing holds the version any more; events then tell what became of the artifact."""

    condition: Condition | None = None
    create: tuple[Manifest, ...] = ()
    events: tuple[Event, ...] = ()
    again: float | None = None


def sharers_of(version: Manifest, others: Sequence[Manifest]) -> list[Sharer]:
    """Return the other versions, of any namespace, with the artifact of this one."""
    own, uid = _artifact(version), version["metadata"].get("uid")
    return [
        Sharer(
            (one["metadata"]["namespace"], one["metadata"]["name"]),
            "deletionTimestamp" in one["metadata"] and policy_of(one) == DELETE,
        )
        for one in others
        if one["metadata"].get("uid") != uid and _artifact(one) == own
    ]


def policy_of(version: Manifest) -> str:
    """Return the deletionPolicy of a version, readable or not."""
    spec = version.get("spec")
    return str(spec.get("deletionPolicy") or "") if isinstance(spec, Mapping) else ""


def _artifact(version: Manifest) -> tuple[str, str]:
    artifact: Any = published(version).get("artifact")
    if not isinstance(artifact, Mapping):
        return "", ""
    # Places, not spellings: slashes at the ends of a prefix do not count, nor does the case of the scheme (store.uri).
    scheme, _, rest = str(artifact.get("uri", "")).partition("://")
    bucket, _, prefix = rest.partition("/")
    return f"{scheme.lower()}://{bucket}/{prefix.strip('/')}", str(artifact.get("digest", ""))


def next_step(view: Removal, image: Image) -> Step:
    """Return what is next of the removal."""
    uri, place = view.artifact.uri, (view.version.namespace, view.version.name)
    stays = [one for one in view.sharers if not one.goes]
    first = [one for one in view.sharers if one.goes and one.place > place]
    if stays or first:
        # Of those that go together, one removes it.
        return _kept("Normal", f"{uri} stays: {_named((*stays, *first), place)} has it as well")
    begun = _begun(view.version)
    going = f"Job {job_name(view.version)} removes it"
    if begun is None:
        return Step(_removing(view, going))
    left = (begun + timedelta(seconds=DEADLINE_SECONDS) - view.now).total_seconds()
    mend = "remove it by hand where it is not wanted"
    seen = jobs.observe(view.job, view.pods, view.now) if view.job is not None else None
    if isinstance(seen, jobs.Complete):
        return Step(events=(Event("Normal", REMOVED, f"{uri} was removed"),))
    if isinstance(seen, jobs.Failed):
        why = seen.failure.describe() if seen.failure is not None else seen.message
        return _kept("Warning", f"{uri} was not removed: {why}; {mend}")
    obstacle = seen.message if isinstance(seen, jobs.Active) and seen.obstacle else ""
    if left <= 0:
        why = f"Job {view.job['metadata']['name']} did not end" if view.job is not None else "its Job was not made"
        return _kept("Warning", f"{uri} was not removed: {why} in time{obstacle and f', {obstacle}'}; {mend}")
    if view.sharers:
        waits = f"waits for {_named(view.sharers, place)}, which is being deleted and has it as well"
        return Step(_removing(view, waits), again=min(left, LOOK_AGAIN_SECONDS))
    create = (build_job(view.version, view.artifact, image),) if view.job is None else ()
    return Step(_removing(view, obstacle or going), create, again=left)


def _kept(kind: str, text: str) -> Step:
    return Step(events=(Event(kind, KEPT, fitted(text, 1000)),))


def _named(sharers: Sequence[Sharer], place: tuple[str, str]) -> str:
    """Return a sharer; of another namespace no more than that there is one."""
    here = sorted(one.place[1] for one in sharers if one.place[0] == place[0])
    return f"ModelVersion {here[0]}" if here else "a version of another namespace"


def _begun(version: ModelVersion) -> datetime | None:
    """Return when the removal was told first; None when it was not yet."""
    told = [one for one in version.status.conditions if one.type == REMOVED and one.status == FALSE]
    return parse_timestamp(told[0].last_transition_time) if told else None


def _removing(view: Removal, what: str) -> Condition:
    until = timestamp((_begun(view.version) or view.now) + timedelta(seconds=DEADLINE_SECONDS))
    text = f"{view.artifact.uri} goes first: {fitted(what, 2000)}; the version goes by {until} in any case"
    return Condition(REMOVED, FALSE, REMOVING, text)


def job_name(version: ModelVersion) -> str:
    """Return the name of the Job that removes the artifact; a namesake made later has another."""
    return f"{version.name[:44].rstrip('-.')}-remove-{short_hash(version.uid)[:6]}"


def build_job(version: ModelVersion, artifact: ArtifactRef, image: Image) -> dict[str, Any]:
    """Return the Job that removes the artifact: one container, with the keys of the version's store."""
    store = version.spec.store
    env = {names.ENV_ARTIFACT_URI: verbatim(artifact.uri), names.ENV_ARTIFACT_DIGEST: artifact.digest, "HOME": TMP}
    container = Container(
        name=names.STAGE_REMOVE, image=image, requests=REQUESTS, args=[names.STAGE_REMOVE], env=env, store=store
    )
    pod = Pod(containers=[container], service_account=store.service_account_name, restart_policy="Never")
    return jobs.build_job(
        jobs.Job(
            name=job_name(version),
            namespace=version.namespace,
            labels={
                labels.REMOVES_LABEL: version.name,
                labels.MODEL_LABEL: version.spec.model,
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                "app.kubernetes.io/name": "modelmill-trainer",
                "app.kubernetes.io/instance": version.name,
            },
            tries_again=TRIES_AGAIN,
            deadline_seconds=JOB_SECONDS,
            final_containers=[names.STAGE_REMOVE],
            pod=pod,
        )
    )


def build_policy(version: ModelVersion, network: Network) -> dict[str, Any]:
    """Return the NetworkPolicy of that Job's pods: they find names, and reach the store."""
    meta = {"name": job_name(version), "namespace": version.namespace}
    return build_network_policy(meta, {labels.REMOVES_LABEL: version.name}, (), [version.spec.store], network)
