"""A search whose plans are carried out on plain dictionaries: Jobs end when a test says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelmill.contracts import result
from modelmill.engine.interface import Plan
from modelmill.kube import labels
from modelmill.tuning.reports import Reports
from modelmill.tuning.sampler import InProcess, Sampler
from tests.support import objects as o
from tests.support.made_aside import created
from tests.unit.training.planning import IMAGE, plan, view

FACTS = result.DataFacts(o.DIGEST, 80, 20)


@dataclass
class Search:
    """A TrainingJob that searches, and what was made for it. plans: all of them, the last one last."""

    parent: dict[str, Any]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    maps: dict[str, dict[str, Any]] = field(default_factory=dict)
    versions: list[dict[str, Any]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    now: datetime = o.NOW
    sampler: Sampler = field(default_factory=InProcess)
    reports: Reports = field(default_factory=lambda: Reports("http://operator/trials/report"))

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.parent.get("status") or {})

    @property
    def run(self) -> dict[str, Any]:
        return dict(self.status["currentRun"])

    def trials(self) -> dict[str, Any]:
        """Return what the status tells of the trials, without zeros."""
        return {name: value for name, value in self.run["trials"].items() if value}

    def step(self) -> Plan:
        """Make one plan and carry it out."""
        seen = view(
            self.parent, jobs=self.jobs, pods=self.pods, maps=self.maps, versions=self.versions, now=self.now,
            sampler=self.sampler, reports=self.reports,
        )  # fmt: skip
        made = plan(seen, IMAGE)
        self.plans.append(made)
        for body in made.apply:
            self.maps[body["metadata"]["name"]] = owned(body)
        for body in created(made):
            name = body["metadata"]["name"]
            if body["kind"] == "Job":
                assert name not in self.jobs
                self.jobs[name] = o.job(body)
                self.made.append(name)
            else:
                self.versions.append({**o.model_version(name), "spec": body["spec"]})
        for gone in made.delete:
            for children in (self.jobs, self.pods, self.maps) if gone.resource.kind == "Job" else (self.maps,):
                children.pop(gone.name, None)
        if made.status is not None:
            self.parent = o.with_status(self.parent, made.status)
        return made

    def rest(self, most: int = 20) -> None:
        """Make plans until one changes nothing."""
        for _ in range(most):
            before = json.dumps([self.parent, self.jobs, self.maps], sort_keys=True)
            self.step()
            if json.dumps([self.parent, self.jobs, self.maps], sort_keys=True) == before:
                return
        raise AssertionError("it never comes to rest")

    def change(self, **spec: Any) -> None:
        self.parent = {**self.parent, "spec": {**self.parent["spec"], **spec}}

    def change_tuning(self, **more: Any) -> None:
        self.change(tuning={**self.parent["spec"]["tuning"], **more})

    def running(self) -> dict[int, str]:
        """Return the names of the Jobs of trials that have not ended, by index."""
        return {
            int(job["metadata"]["labels"][labels.TRIAL_LABEL]): name
            for name, job in self.jobs.items()
            if labels.TRIAL_LABEL in job["metadata"]["labels"] and not job["status"]["conditions"]
        }

    def data_job(self) -> str:
        (name,) = (
            name for name, job in self.jobs.items() if job["metadata"]["labels"].get(labels.STEP_LABEL) == "data"
        )
        return name

    def copied(self, facts: result.DataFacts = FACTS) -> None:
        """Let the data Job end well."""
        self.complete(self.data_job(), [o.ended("fetch", 0, result.encode_data(facts), "Completed")])

    def complete(self, job: str, ends: list[dict[str, Any]], init: tuple[dict[str, Any], ...] = ()) -> None:
        self.jobs[job]["status"] = {"conditions": [o.condition("Complete", moment=self.now)]}
        self.pods[job] = [o.pod(f"{job}-x", list(init), ends, "Succeeded")]

    def trains(self, index: int) -> str:
        """Let the pod of a trial train; return its uid."""
        job = self.running()[index]
        running = {"name": "train", "state": {"running": {}}}
        self.pods[job] = [o.pod(f"{job}-x", [o.ended("fetch", 0, "", "Completed"), running], [])]
        return f"{job}-x-uid"

    def scored(self, index: int, value: float, model: str = "", **metrics: float) -> None:
        told = result.StageResult(result.SCORED, data=FACTS, metrics={"r2": value, **metrics}, model=model)
        self.complete(self.running()[index], [o.ended("score", 0, result.encode(told), "Completed")])

    def failed(self, index: int, ends: list[dict[str, Any]], reason: str = "BackoffLimitExceeded") -> None:
        job = self.running()[index]
        self.jobs[job]["status"] = {"failed": 1, "conditions": [o.condition("Failed", reason, moment=self.now)]}
        self.pods[job] = [o.pod(f"{job}-x", ends, [], "Failed")] if ends else []

    def published(self) -> None:
        self.complete(self.run["job"], [o.ended("publish", 0, result.encode(o.published()), "Completed")])

    def entries(self, run: int = 1) -> list[dict[str, Any]]:
        """Return the ledger of a run."""
        return [
            json.loads(text)
            for _, one in sorted(self.maps.items())
            if one["metadata"]["labels"][labels.RUN_LABEL] == str(run)
            for key, text in sorted(one["data"].items())
            if key != "search"
        ]

    def stage_of(self, job: str) -> dict[str, Any]:
        """Return what the containers of a Job are told."""
        spec = self.jobs[job]["spec"]["template"]["spec"]
        told = next(env["value"] for env in spec["containers"][0]["env"] if env["name"] == "MODELMILL_STAGE")
        return dict(json.loads(told))


def owned(body: Mapping[str, Any]) -> dict[str, Any]:
    reference = {"uid": "tj-uid", "controller": True, "kind": "TrainingJob"}
    return {
        **body,
        "metadata": {**body["metadata"], "uid": f"{body['metadata']['name']}-uid", "ownerReferences": [reference]},
    }


def searching(tuning: Mapping[str, Any] | None = None, **spec: Any) -> Search:
    """Return a search whose trials have begun."""
    search = Search(o.training_job(tuning={**o.tuning(), **(tuning or {})}, **spec))
    search.rest()
    search.copied()
    search.rest()
    return search
