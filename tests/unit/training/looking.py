"""A TrainingJob whose data is looked at, on a clock that is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modelmill.contracts import names, stage
from modelmill.contracts.look import Seen, encode_seen
from modelmill.contracts.result import FAILED, StageResult, encode
from modelmill.engine.interface import Plan
from modelmill.kube.conditions import timestamp
from modelmill.workloads.containers import Image
from tests.support import objects as o
from tests.support.made_aside import created
from tests.unit.training.planning import plan, service, status_of, view

TRAINER = Image("trainer:1")
ROWS = {"everySeconds": 900, "minNewRows": 100}
OBJECTS = {"everySeconds": 900, "minNewObjects": 2}
Object = dict[str, Any]


class Clock:
    """A TrainingJob that waits for new data, whose first run has ended at 03:04:05, and a clock that is told."""

    def __init__(
        self, new_data: Mapping[str, Any] | None = ROWS, alerts: Mapping[str, Any] | None = None, **spec: Any
    ) -> None:
        retrain = {"cooldownSeconds": 0, "maxConsecutiveFailures": 2, **spec.pop("retrain", {})}
        triggers = {"newData": dict(new_data)} if new_data is not None else {}
        triggers |= {"alerts": {"enabled": True, **alerts}} if alerts is not None else {}
        self.services: Sequence[Object] = ()
        self.job: Object = o.training_job(triggers=triggers, retrain=retrain, **spec)
        self.status: Object = {}
        self.jobs: dict[str, Object] = {}
        self.pods: dict[str, list[Object]] = {}
        self.seconds = 0.0
        self.made: list[str] = []
        self.events: list[str] = []
        self.messages: list[str] = []
        self.plan()
        self.end()

    def plan(self, seconds: float | None = None) -> Plan:
        """Plan until there is nothing to do at once, so many seconds after the beginning; return the first plan."""
        self.seconds = self.seconds if seconds is None else seconds
        first = self._planned()
        made = first
        for _ in range(6):
            if made.requeue_after is None or made.requeue_after > 1:
                return first
            made = self._planned()
        raise AssertionError("there is always something to do at once")

    def _planned(self) -> Plan:
        now = o.later(self.seconds)
        made = plan(
            view(o.with_status(self.job, self.status), now=now, jobs=self.jobs, pods=self.pods, services=self.services),
            TRAINER,
        )
        self.status = status_of(made)
        for one in created(made):
            name = one["metadata"]["name"]
            assert name not in self.jobs
            self.jobs[name] = {**o.job(one), "metadata": {**o.job(one)["metadata"], "uid": f"uid-{name}"}}
            self.made.append(name)
        for delete in made.delete:
            del self.jobs[delete.name]
        self.events += [event.reason for event in made.events]
        self.messages += [event.message for event in made.events]
        return made

    def end(self, outcome: str = "Published") -> None:
        """Let the run in progress end."""
        run = self.status.pop("currentRun")
        del self.jobs[run["job"]]
        kept = ("number", "reason", "job", "startTime")
        record = {name: run[name] for name in kept} | {"triggers": run.get("triggers", [])}
        record |= {"alerts": run.get("alerts", [])} | ({"version": run["version"]} if outcome == "Published" else {})
        record |= {"outcome": outcome, "attempts": 1, "finishTime": timestamp(o.later(self.seconds))}
        self.status |= {"lastRun": record, "runs": [record, *self.status.get("runs", ())]}

    @property
    def look(self) -> Object | None:
        """The Job of the look under way."""
        found = [job for job in self.jobs.values() if job["metadata"]["labels"].get("modelmill.dev/step") == "look"]
        assert len(found) <= 1, "two looks at a time"
        return found[0] if found else None

    def fire(self, *alerts: Object, on: tuple[str, ...] = ("Drift", "Skew", "Quality", "Staleness")) -> None:
        """Let these alerts fire about the service that retrains by it, and no others."""
        self.services = [service(alerts, on=on)]

    @property
    def asked(self) -> stage.Look:
        """What the look under way is told to look for."""
        assert self.look is not None
        told = stage.decode(variable(self.look, names.ENV_STAGE)).look
        assert told is not None
        return told

    def finds(self, new: int = 0, rows: int | None = 0, removed: int = 0, message: str | None = None) -> None:
        """Let the look under way end well: rows of the new objects, all of which are recent."""
        digest, asked = "sha256:" + f"{len(self.made):x}" * 64, self.asked
        recent = (asked.after, new, rows) if asked.after is not None else (None, None, None)
        seen = Seen(digest, 5, new, removed, rows if asked.min_rows is not None else None, *recent)
        self.ends(encode_seen(seen) if message is None else message, 0)
        self.plan()

    def fails(self, reason: str = "StoreAuthFailed") -> None:
        self.ends(encode(StageResult(FAILED, reason, ("the keys are none of the store's",))), 3)
        self.plan()

    def ends(self, message: str, code: int) -> None:
        assert self.look is not None
        name = self.look["metadata"]["name"]
        moment = timestamp(o.later(self.seconds))
        kind = "Failed" if code else "Complete"
        done = {"type": kind, "status": "True", "reason": "", "lastTransitionTime": moment}
        self.jobs[name] = {**self.look, "status": {"conditions": [done], "failed": 1 if code else 0}}
        ended = {"terminated": {"exitCode": code, "reason": "Completed", "message": message}}
        status = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"name": "look", "state": ended}]}
        self.pods[name] = [{"metadata": {"name": name, "creationTimestamp": moment}, "status": status}]

    def waits(self) -> list[tuple[str, str]]:
        return [(one["reason"], one["message"]) for one in self.status.get("pendingTriggers", ())]

    @property
    def decisions(self) -> list[tuple[str, str, int]]:
        """What was decided, newest first: action, reason and how many times."""
        return [(one["action"], one["reason"], one["count"]) for one in self.status.get("decisions", ())]

    @property
    def told(self) -> str:
        return str(self.status["lastLook"]["message"])

    @property
    def run(self) -> Object | None:
        return self.status.get("currentRun")


def variable(job: Object, name: str) -> str:
    """Return a variable of the only container of a Job."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return str(next(one["value"] for one in container["env"] if one["name"] == name))
