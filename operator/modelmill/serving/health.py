"""Whether the pods of a revision can ever become ready."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modelmill.api.inference_service import InferenceServiceSpec
from modelmill.contracts.names import EXIT_FINAL, EXIT_RETRY
from modelmill.kube.conditions import TRUE, find
from modelmill.kube.objects import Manifest
from modelmill.kube.texts import fitted, word
from modelmill.serving.builders.pod_template import FETCH
from modelmill.serving.view import View
from modelmill.workloads.pod_status import (
    OOM_KILLED,
    Ended,
    blocked,
    container_statuses,
    ended,
    is_ready,
    unschedulable,
)

HOPELESS_RESTARTS = 3
PODS_REFUSED = "PodsRefused"
UNSCHEDULABLE = "Unschedulable"
NEVER_STARTED = frozenset({"ImagePullFailed", "ContainerConfigInvalid"})
"""Reasons of pods that a person must mend, by another spec for example."""
MAX_TEXT = 1000


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a revision from being ready.

    hopeless: waiting longer will not help. refused: its pods are not let in, which a person must mend; then they come.
    """

    reason: str
    message: str
    hopeless: bool = False

    @property
    def refused(self) -> bool:
        """Whether a quota, a limit range or a policy refuses the pods."""
        return self.reason == PODS_REFUSED


def trouble(view: View, revision: str) -> Trouble | None:
    """Return what keeps the pods of the revision from being ready, the hopeless first; None when nothing is known."""
    waiting = [
        pod for pod in view.pods.get(revision, ()) if not is_ready(pod) and "deletionTimestamp" not in pod["metadata"]
    ]
    troubles = [one for pod in waiting for one in _of_pod(view, pod)]
    refused = _refusal(view.deployments.get(revision))
    if refused is not None:
        troubles.insert(0, refused)
    told = next((one for one in troubles if one.hopeless), troubles[0] if troubles else None)
    if told is None:
        return None
    return replace(told, reason=word(told.reason, "CrashLoop"), message=fitted(told.message, 4 * MAX_TEXT))


def _refusal(deployment: Manifest | None) -> Trouble | None:
    """Return why the API server refuses the pods: the Deployment has the words of its ReplicaSet."""
    failure = find((deployment or {}).get("status") or {}, "ReplicaFailure")
    if failure is None or failure.get("status") != TRUE:
        return None
    return Trouble(
        PODS_REFUSED, f"its pods are refused: {str(failure.get('message') or failure.get('reason'))[:MAX_TEXT]}"
    )


def _of_pod(view: View, pod: Manifest) -> list[Trouble]:
    troubles = []
    for status in container_statuses(pod):
        end = ended(pod, status["name"])
        if end is None or end.exit_code == 0:
            continue
        restarts = int(status.get("restartCount", 0))
        troubles.append(_of_end(end, restarts))
    stuck = blocked(pod)
    if stuck is not None:
        troubles.append(Trouble(stuck.reason, stuck.message + _mend(view, stuck.message)))
    no_node = unschedulable(pod)
    if no_node is not None:
        troubles.append(Trouble(UNSCHEDULABLE, f"no node takes the pod: {no_node}"))
    return troubles


def _mend(view: View, message: str) -> str:
    """Return which field names the Secret that is missing or lacks a key, and what to do; empty where it is about none.

    The kubelet says `secret "NAME" not found` and `couldn't find key KEY in Secret NAMESPACE/NAME`.
    """
    for name, field in _secrets(view.spec).items():
        if f'secret "{name}"' in message or f"Secret {view.namespace}/{name}" in message:
            return f"; {field} names this Secret: create it with the key, and the pod starts"
    return ""


def _secrets(spec: InferenceServiceSpec) -> dict[str, str]:
    """Return the fields of the spec that name Secrets, by the names."""
    log, feedback = spec.payload_log, spec.feedback
    named = {}
    if log is not None and log.secret_ref is not None:
        named[log.secret_ref.name] = "spec.payloadLog.secretRef"
    if feedback is not None:
        named[feedback.key_secret_ref.name] = "spec.feedback.keySecretRef"
    return named


def _of_end(end: Ended, restarts: int) -> Trouble:
    reason, text = "CrashLoop", end.describe()
    if end.reason == OOM_KILLED:
        reason, text = "OutOfMemory", f"{text}; raise spec.runtime.resources.limits.memory"
    result = end.result()
    if result is not None:
        reason = result.reason or reason
        text = f"container {end.container} exited with code {end.exit_code}: {' '.join(result.reasons)}"
    # A store that is down may come back until the progress deadline; a server that ends again and again will not.
    may_recover = end.container == FETCH and end.exit_code == EXIT_RETRY
    hopeless = end.exit_code == EXIT_FINAL or (restarts >= HOPELESS_RESTARTS and not may_recover)
    return Trouble(reason, text, hopeless)
