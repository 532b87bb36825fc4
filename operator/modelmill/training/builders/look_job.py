"""The Job of one look at the data: a small pod with the keys of the store, which says how much is new."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job_status import FinishedRun
from modelmill.contracts import names, stage
from modelmill.kube import labels
from modelmill.kube.conditions import parse_timestamp
from modelmill.training.builders.stage_spec import stage_spec
from modelmill.training.triggers.rows import Wanted
from modelmill.training.view import View
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.pods import Pod

LOOK: Final = "look"
"""Value of the step label."""
DEADLINE_SECONDS: Final = 600
REQUESTS: Final = {"cpu": "50m", "memory": "192Mi"}
LONGEST_NAME: Final = 63
"""Of a Job, whose name is a label's value of its pods."""


def look_job_name(view: View, before: FinishedRun, due: str) -> str:
    """Return the name of the Job of the look that is due then: another for another run, or for other data to look at."""
    spec = view.spec
    rows = spec.triggers.new_data.min_new_rows if spec.triggers.new_data is not None else None
    unique = short_hash(view.uid, before.number, due, rows, spec.data.train, spec.data.window, spec.store)[:8]
    suffix = f"-{LOOK}-{unique}"
    return f"{view.name[: LONGEST_NAME - len(suffix)].rstrip('-.')}{suffix}"


def build_look_job(view: View, before: FinishedRun, due: str, wanted: Wanted | None, trainer: Image) -> dict[str, Any]:
    """Return the Job of the look that is due then; wanted: what alerts wait for. It is not tried again: the next look is."""
    new_data = view.spec.triggers.new_data
    told = replace(
        stage_spec(view, before.number, f"{view.spec.model}-{before.number}", None, None),
        look=stage.Look(
            since=parse_timestamp(before.start_time).timestamp(),
            min_rows=new_data.min_new_rows if new_data is not None else None,
            after=wanted.since.timestamp() if wanted is not None and wanted.since is not None else None,
            recent_rows=wanted.rows if wanted is not None else None,
        ),
    )
    container = Container(
        name=names.STAGE_LOOK,
        image=trainer,
        requests=REQUESTS,
        args=[names.STAGE_LOOK],
        env={"HOME": TMP, names.ENV_STAGE: stage.encode(told)},
        store=view.spec.store,
    )
    return jobs.build_job(
        jobs.Job(
            name=look_job_name(view, before, due),
            namespace=view.namespace,
            labels={
                labels.TRAINING_JOB_LABEL: view.name,
                labels.STEP_LABEL: LOOK,
                labels.MODEL_LABEL: view.spec.model,
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                "app.kubernetes.io/name": "modelmill-trainer",
                "app.kubernetes.io/instance": view.name,
            },
            tries_again=0,
            deadline_seconds=DEADLINE_SECONDS,
            pod=Pod(
                containers=[container],
                template=view.spec.pod_template,
                service_account=view.spec.store.service_account_name,
                restart_policy="Never",
            ),
        )
    )
