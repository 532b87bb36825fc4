"""The Job that writes a drift report: one container of the trainer, with the keys of the version's store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from modelmill.api.drift_report import ReportJob
from modelmill.api.fingerprint import short_hash
from modelmill.api.monitoring import Monitoring
from modelmill.api.objects import InferenceService, ModelVersion
from modelmill.contracts import names
from modelmill.contracts.drift_report import ReportSpec, encode
from modelmill.contracts.verdict import Limits
from modelmill.kube import labels
from modelmill.monitoring.holdout import holdout_of
from modelmill.monitoring.part import counts_name
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.pods import Pod
from modelmill.workloads.store_access import verbatim

FOLDER: Final = "/modelmill/counts"
JOB_SECONDS: Final = 600
TRIES_AGAIN: Final = 3
REQUESTS: Final = {"cpu": "50m", "memory": "192Mi"}


def job_name(service: InferenceService, now: datetime) -> str:
    """Return the name of the Job of a report that is asked for now; a namesake of the service made later has another."""
    return f"{service.name[:24].rstrip('-')}-report-{now:%Y%m%dt%H%M%Sz}-{short_hash(service.uid)[:6]}"


def build_job(
    service: InferenceService, monitoring: Monitoring, run: ReportJob, version: ModelVersion, image: Image
) -> dict[str, Any]:
    """Return the Job. version: that the report is about, which has an artifact."""
    artifact, store = version.spec.artifact, version.spec.store
    assert artifact is not None, "a version that serves has one"
    drift, quality = monitoring.drift, monitoring.quality
    told = ReportSpec(
        namespace=service.namespace,
        service=service.name,
        version=run.version,
        uri=run.uri,
        reason=run.reason,
        created=run.start_time,
        limits=Limits(float(drift.psi_threshold), float(drift.min_share), drift.min_rows),
        maximum=None if quality.maximum is None else float(quality.maximum),
        min_labels=quality.min_labels,
        holdout=holdout_of(version),
    )
    container = Container(
        name=names.STAGE_DRIFT_REPORT,
        image=image,
        requests=REQUESTS,
        args=[names.STAGE_DRIFT_REPORT],
        env={
            names.ENV_REPORT: verbatim(encode(told)),
            names.ENV_COUNTS: FOLDER,
            names.ENV_ARTIFACT_URI: verbatim(artifact.uri),
            names.ENV_ARTIFACT_DIGEST: artifact.digest,
            "HOME": TMP,
        },
        store=store,
        folders={"counts": FOLDER},
        read_only_folders=frozenset({"counts"}),
    )
    return jobs.build_job(
        jobs.Job(
            name=run.name,
            namespace=service.namespace,
            labels={
                labels.REPORT_LABEL: service.name,
                labels.VERSION_LABEL: version.name,
                labels.MODEL_LABEL: service.spec.model.name,
                labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
                "app.kubernetes.io/name": "modelmill-trainer",
                "app.kubernetes.io/instance": service.name,
            },
            tries_again=TRIES_AGAIN,
            deadline_seconds=JOB_SECONDS,
            final_containers=[names.STAGE_DRIFT_REPORT],
            pod=Pod(
                containers=[container],
                service_account=store.service_account_name,
                restart_policy="Never",
                config_maps={"counts": [counts_name(service.name)]},
            ),
        )
    )
