"""The plan of a ModelVersion: is it approved, who serves it, and may it go. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from modelmill.api.base import Condition as WrittenCondition
from modelmill.api.model_version import ModelVersionSpec
from modelmill.api.model_version_status import AliasClaim, ModelVersionStatus, Stage
from modelmill.api.objects import ModelVersion, ObjectMeta, status_manifest
from modelmill.api.tracks import Tracks
from modelmill.api.versions import APPROVED, REJECTED, gain, number
from modelmill.contracts.artifact import report_uri
from modelmill.engine.interface import Event
from modelmill.engine.parts import Contribution
from modelmill.kube.conditions import FALSE, TRUE, Condition
from modelmill.kube.labels import IN_USE_FINALIZER
from modelmill.kube.managed_fields import Writer
from modelmill.kube.texts import fitted
from modelmill.registry import aliases, importing
from modelmill.registry.removal import DELETE, REMOVED, Step

UNLOADABLE = ("DigestMismatch", "ArtifactMissing", "ArtifactCorrupt")
"""What a service says of an artifact that is at fault itself, whoever fetches it."""
LOADING = ("ModelLoadFailed", "GoldenMismatch", "ModelTooSlow", "Crashed")
"""What a service says of a model that it could not load. Another one, with more memory or CPU, may."""
HELD = "DeletionHeld"
OVERRIDDEN = "GateOverridden"
VERIFIED = "Verified"
GOES = "it will be deleted when another version has replaced it"
GOES_AFTER = "it will be deleted when that is over"
MAX_COLUMN = 64
MAX_LISTED = 64
MAX_NAMED = 8
BEING_DELETED = "Deleting"
FIELDS = (
    "stage", "serving", "servedBy", "metric", "delta", "gates", "source", "report", "claims", "aliases", "imported",
    "format", "digest", "bytes",
)  # fmt: skip
CONDITIONS = ("Ready", importing.VERIFIED, "Approved", OVERRIDDEN, aliases.HELD, "Deletable", REMOVED)


@dataclass(frozen=True, slots=True)
class View:
    """One ModelVersion, the InferenceServices that say something of it, who set its approval if that is known.

    claims: its claims of aliases, with who has each. removal: what is next of removing its artifact; None when it stays, or is
    not to go yet. step: what is next of its import; None when it has no source.
    """

    version: ModelVersion
    services: Sequence[Tracks]
    approver: Writer | None = None
    claims: Sequence[AliasClaim] = ()
    removal: Step | None = None
    step: importing.Step | None = None

    @property
    def removing(self) -> Condition | None:
        """Why the version is held after its deletion until its artifact is removed; None when it is not."""
        return self.removal.condition if self.removal is not None else None


@dataclass(frozen=True, slots=True)
class Use:
    """An InferenceService that wants pods of the version. share: of its traffic, in percent. answers: a pod is ready.

    reason, message: why none is, where the service's Ready condition is about this version. deploying: none ever was.
    stopped: it is to have none. scoring: it does not serve it, and scores a prefix with it.
    """

    service: str
    share: int
    answers: bool
    reason: str
    message: str
    deploying: bool
    stopped: bool = False
    scoring: bool = False


def uses(view: View) -> list[Use]:
    """Return who serves or deploys the version, the greatest share first."""
    name = view.version.name
    using = [
        Use(
            tracks.service,
            tracks.share(name),
            tracks.answers(name),
            tracks.reason,
            tracks.message,
            tracks.deploying,
            tracks.stopped,
        )
        if tracks.serves(name)
        else Use(tracks.service, 0, answers=False, reason="", message="", deploying=False, scoring=True)
        for tracks in view.services
        if tracks.wants(name)
    ]
    return sorted(using, key=lambda use: (-use.share, use.service))


def plan(view: View) -> Contribution:
    """Return what the ModelVersion needs: its finalizer, its status, and the Jobs that import and remove its artifact."""
    using = uses(view)
    version = view.version
    deleting = version.metadata.deleting
    overridden = _overridden(version, view.approver)
    events = []
    if deleting and using and _before(version, "Deletable", HELD) is None:
        text = f"not deleted yet: {_named(using)}; {_goes(using)}"
        events.append(Event("Warning", HELD, text))
    if overridden is not None and _before(version, OVERRIDDEN, OVERRIDDEN) is None:
        events.append(Event("Warning", OVERRIDDEN, overridden.message))
    events += aliases.events(version.name, version.status.claims, view.claims)
    conditions = [
        _ready(view, using, _unloadable(view, using), overridden),
        view.step.verified if view.step is not None else None,
        _approved(version.spec),
        overridden,
        aliases.condition(version.name, view.claims),
        _deletable(using, deleting=deleting),
        view.removing,
    ]
    removal, step = view.removal or Step(), view.step
    again = [one for one in (removal.again, step.again if step is not None else None) if one is not None]
    return Contribution(
        create=(*removal.create, *(step.create if step is not None else ())),
        delete=step.delete if step is not None else (),
        finalizer=_finalizer(view, using),
        status=status_manifest(_status(view, using)),
        conditions=[condition for condition in conditions if condition is not None],
        events=[*events, *removal.events, *(step.events if step is not None else ())],
        requeue_after=min(again, default=None),
    )


def _finalizer(view: View, using: Sequence[Use]) -> bool | None:
    """Return whether the finalizer is to be there; None where it is, and stays."""
    if view.version.metadata.deleting:
        # A new one is not accepted any more; it was put there when serving began, or the policy was set.
        return None if using or view.removing is not None else False
    return bool(using) or view.version.spec.deletion_policy == DELETE


def foreign_finalizers(metadata: ObjectMeta) -> tuple[str, ...]:
    """Return the finalizers of others, which hold the object after ours is gone."""
    return tuple(name for name in metadata.finalizers if name != IN_USE_FINALIZER)


def _before(version: ModelVersion, kind: str, reason: str) -> WrittenCondition | None:
    """Return the condition as it was written last, None when there was none with this reason."""
    conditions = version.status.conditions
    return next((written for written in conditions if (written.type, written.reason) == (kind, reason)), None)


def _status(view: View, using: Sequence[Use]) -> ModelVersionStatus:
    version, claims, spec = view.version, view.claims, view.version.spec
    imported = view.step.imported if view.step is not None else None
    found = imported or spec.artifact
    serving = [use for use in using if not use.scoring]
    return ModelVersionStatus(
        stage=_stage(version, using),
        serving=f"{serving[0].share}%" if serving else "-",
        served_by=tuple(f"{use.service} {use.share}%" for use in serving[:MAX_LISTED]),
        metric=_metric(spec),
        delta=_delta(spec),
        gates=_gates(spec),
        source=_source(spec),
        # Whoever makes a version by hand need not have a report; every run publishes one.
        report=report_uri(spec.artifact.uri) if spec.lineage is not None and spec.artifact is not None else None,
        claims=tuple(claims),
        aliases=aliases.held(version.name, claims),
        imported=imported,
        format=imported.format if imported is not None else spec.format,
        digest=found.digest if found is not None else None,
        bytes=imported.bytes if imported is not None else spec.bytes,
    )


def _stage(version: ModelVersion, using: Sequence[Use]) -> Stage:
    """Return STAGE: what holds it, how far its use is, or its approval; of a rejected one SERVING tells the use."""
    if version.metadata.deleting:
        return "Deleting"
    if all(use.stopped or use.scoring for use in using) or version.spec.approval == REJECTED:
        return version.spec.approval
    return "Serving" if any(use.answers for use in using) else "Deploying"


def _metric(spec: ModelVersionSpec) -> str | None:
    """Return METRIC: the primary metric, as it was written when it is no number."""
    text = spec.metrics.get(spec.primary.metric) if spec.primary is not None else None
    if spec.primary is None or text is None:
        return None
    value = number(text)
    return _column(spec.primary.metric, f"={fitted(text, 24) if value is None else format(value, '.4g')}")


def _delta(spec: ModelVersionSpec) -> str | None:
    """Return DELTA: by how much the primary metric is greater than the champion's of the time."""
    difference = gain(spec, spec.primary.metric) if spec.primary is not None else None
    return f"{difference:+.3g}" if difference is not None else None


def _gates(spec: ModelVersionSpec) -> Literal["Passed", "Failed", "Overridden"] | None:
    """Return GATES; None for a version without gates, and for one that was made by hand and says nothing of them."""
    if spec.failed_gates:
        return "Overridden" if spec.approval == APPROVED else "Failed"
    return "Passed" if spec.gates and spec.lineage is not None else None


def _source(spec: ModelVersionSpec) -> str | None:
    """Return SOURCE: the run that made the version, or the model that it is imported from."""
    if spec.source is not None:
        return _column(spec.source.format, f" {spec.source.uri[-40:]}")
    lineage = spec.lineage
    if lineage is None:
        return None
    return _column(lineage.training_job, f" run {lineage.run} ({fitted(lineage.reason, 16)})")


def _column(text: str, end: str) -> str:
    """Return both in the length of a column; the first gives way."""
    return fitted(text, MAX_COLUMN - len(end)) + end


def _unloadable(view: View, using: Sequence[Use]) -> Condition | None:
    """Return what a service says that could not load the version; a model that a pod has loaded is not at fault."""
    loaded = any(use.answers for use in using)
    for use in using:
        if use.reason in UNLOADABLE or (use.reason in LOADING and use.deploying and not loaded):
            return Condition("Ready", FALSE, use.reason, f"InferenceService {use.service}: {fitted(use.message, 3000)}")
    version = view.version
    for tracks in () if loaded else view.services:
        ended, why = tracks.given_up.get(version.name, ("", ""))
        reason, colon, words = why.partition(": ")
        # What ended before the version was made was said of an older one of its name.
        if colon and reason in (*UNLOADABLE, *LOADING) and ended >= version.metadata.creation_timestamp:
            return Condition(
                "Ready", FALSE, reason, f"InferenceService {tracks.service} took it back: {fitted(words, 3000)}"
            )
    return None


def _ready(view: View, using: Sequence[Use], unloadable: Condition | None, overridden: Condition | None) -> Condition:
    version = view.version
    if version.metadata.deleting:
        if using:
            return Condition("Ready", TRUE, HELD, f"{_named(using)}; {_goes(using)}")
        if view.removing is not None:
            return Condition("Ready", TRUE, BEING_DELETED, f"being deleted; {view.removing.message}")
        holders = fitted(", ".join(foreign_finalizers(version.metadata)), 1024)
        return Condition("Ready", TRUE, BEING_DELETED, f"being deleted; finalizers of others hold it: {holders}")
    if unloadable is not None:
        return unloadable
    if view.step is not None and view.step.imported is None:
        return Condition("Ready", FALSE, view.step.verified.reason, view.step.verified.message)
    if overridden is not None:
        return Condition("Ready", TRUE, OVERRIDDEN, overridden.message)
    if version.spec.approval == REJECTED and not all(use.scoring for use in using):
        text = f"rejected, and still used until another approved version replaces it: {_named(using)}"
        return Condition("Ready", TRUE, "StillServed", text)
    if version.spec.approval == REJECTED:
        return Condition("Ready", TRUE, "Kept", "the artifact is kept; a rejected version is not served")
    if version.spec.lineage is not None:
        return Condition("Ready", TRUE, "Published", "the artifact was read back and compared when it was published")
    if view.step is not None:
        return Condition("Ready", TRUE, view.step.verified.reason, view.step.verified.message)
    # Not Unknown: kstatus takes that for a change in progress, and it would last until some service fetches it.
    if any(use.answers for use in using) or _before(version, "Ready", VERIFIED) is not None:
        text = "made by hand; a pod that served it had fetched and verified it"
        return Condition("Ready", TRUE, VERIFIED, text)
    text = "made by hand: no run read its artifact back; it is verified when a service fetches it"
    return Condition("Ready", TRUE, "NotVerified", text)


def _approved(spec: ModelVersionSpec) -> Condition:
    if spec.approval == APPROVED:
        return Condition("Approved", TRUE, "Approved", "services that follow the model may serve it")
    if spec.approval == REJECTED:
        no_gate = "spec.approval is Rejected; no gate failed"
        return Condition("Approved", FALSE, "Rejected", _failed(spec) if spec.failed_gates else no_gate)
    mend = "a person approves it by setting spec.approval to Approved"
    return Condition("Approved", FALSE, "WaitingForApproval", mend)


def _overridden(version: ModelVersion, approver: Writer | None) -> Condition | None:
    """Return the condition of a version that is approved although its gates failed.

    Who did it is kept as it was told first while the spec is the same: the time of a manager moves with all that it writes.
    """
    spec = version.spec
    if spec.approval != APPROVED or not spec.failed_gates:
        return None
    before = _before(version, OVERRIDDEN, OVERRIDDEN)
    if before is not None and before.observed_generation == version.metadata.generation:
        return Condition(OVERRIDDEN, TRUE, OVERRIDDEN, before.message)
    by = f" by {fitted(approver.manager, 128)}" if approver is not None and approver.manager else ""
    at = f" at {fitted(approver.time, 40)}" if approver is not None and approver.time else ""
    return Condition(OVERRIDDEN, TRUE, OVERRIDDEN, f"approved{by}{at} although {_failed(spec)}")


def _failed(spec: ModelVersionSpec) -> str:
    return f"its gates failed: {fitted('; '.join(spec.failed_gates), 3000)}"


def _deletable(using: Sequence[Use], *, deleting: bool) -> Condition:
    if not using:
        return Condition("Deletable", TRUE, "NotServed", "no InferenceService serves it")
    if deleting:
        return Condition("Deletable", FALSE, HELD, f"{_named(using)}; {_goes(using)}")
    return Condition("Deletable", FALSE, _held_by(using), _named(using))


def _held_by(using: Sequence[Use]) -> str:
    """Return the reason why a version that is used cannot be deleted."""
    if any(use.answers for use in using):
        return "Served"
    if all(use.scoring for use in using):
        return "Scoring"
    return "Kept" if all(use.stopped or use.scoring for use in using) else "Deploying"


def _goes(using: Sequence[Use]) -> str:
    return GOES_AFTER if all(use.scoring for use in using) else GOES


def _named(using: Sequence[Use]) -> str:
    """Return the services that serve it, with their shares, and those that deploy it."""
    serving = [f"{use.service} ({use.share}%)" for use in using if use.answers]
    deploying = [use.service for use in using if not (use.answers or use.stopped or use.scoring)]
    stopped = [use.service for use in using if use.stopped and not use.answers]
    scoring = [use.service for use in using if use.scoring]
    told = []
    if serving:
        told.append(f"InferenceService {_listed(serving)} {'serves' if len(serving) == 1 else 'serve'} it")
    if deploying:
        verb = "deploys" if len(deploying) == 1 else "deploy"
        told.append(f"InferenceService {_listed(deploying)} {verb} it, no pod of it is ready")
    if stopped:
        verb = "keeps" if len(stopped) == 1 else "keep"
        told.append(f"InferenceService {_listed(stopped)} {verb} it without pods until it is started again")
    if scoring:
        told.append(
            f"InferenceService {_listed(scoring)} {'scores' if len(scoring) == 1 else 'score'} a prefix with it"
        )
    return "; ".join(told)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
