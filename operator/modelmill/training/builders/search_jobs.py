"""The Jobs of a search: one that copies the data, one for each trial, and one that publishes what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from modelmill.api.fingerprint import short_hash
from modelmill.api.training_job_status import CurrentRun
from modelmill.api.tuning import Validation
from modelmill.contracts import names, stage
from modelmill.kube import labels
from modelmill.training.builders.job import (
    RUN_SPEC_HASH_ANNOTATION,
    WITHOUT_IDENTITY,
    WORK,
    build_run_job,
    environment,
    job_labels,
    run_annotations,
    stage_container,
    train_container,
)
from modelmill.training.builders.ledger import ledger_name
from modelmill.training.builders.stage_spec import parameter_values, stage_spec, with_parameters
from modelmill.training.view import View
from modelmill.tuning.ledger import FAILED, PRUNED, SUCCEEDED, Entry, Ledger, encode
from modelmill.tuning.verdict import objective
from modelmill.workloads import jobs
from modelmill.workloads.containers import Container, Image
from modelmill.workloads.pods import Pod

DATA: Final = "data"
TRIAL: Final = "trial"
REPORT: Final = "report"
"""Volume with the token that a trial reports by."""
TOLD_BEST: Final = 10
MOST_TOLD: Final = 8192
"""Bytes of the best trials that the publish Job is told: they go into an environment variable."""
LONGEST_NAME: Final = 63
"""Of a Job, whose name is a label's value of its pods."""


def data_job_name(run_job: str) -> str:
    """Return the name of the Job that copies the data of a search; run_job: the name of its run's Job."""
    return _name(run_job, "-data")


def trial_job_name(run_job: str, index: int, attempt: int) -> str:
    """Return the name of the Job of a trial: the same at each restart, and another for each attempt."""
    return _name(run_job, f"-t{index}" + (f"-a{attempt}" if attempt > 1 else ""))


def _name(run_job: str, suffix: str) -> str:
    if len(run_job) + len(suffix) <= LONGEST_NAME:
        return f"{run_job}{suffix}"
    unique = f"-{short_hash(run_job)[:6]}{suffix}"
    return f"{run_job[: LONGEST_NAME - len(unique)]}{unique}"


def build_data_job(
    view: View, number: int, run_job: str, champion: str | None, trainer: Image, unless_digest: str | None
) -> dict[str, Any]:
    """Return the Job that reads the data once and copies them into the store; trials and publish read the copy.

    It ends the run when the data have `unless_digest`.
    """
    version = next((one for one in view.versions if one.name == champion), None)
    told = stage_spec(view, number, f"{view.spec.model}-{number}", version, unless_digest)
    told = replace(told, data=replace(told.data, copy=True))
    policy = view.spec.run_policy
    env = {**environment(number), names.ENV_STAGE: stage.encode(told)}
    fetch = stage_container(view, names.STAGE_FETCH, trainer, env, ("input", "holdout"), keys=True)
    return jobs.build_job(
        jobs.Job(
            name=data_job_name(run_job),
            namespace=view.namespace,
            labels={**job_labels(view, number), labels.STEP_LABEL: DATA},
            annotations=run_annotations(view, champion),
            tries_again=policy.backoff_limit,
            deadline_seconds=policy.active_deadline_seconds,
            final_containers=[names.STAGE_FETCH],
            pod=_pod(view, Pod(containers=[fetch])),
        )
    )


def job_of(run_job: str, entry: Entry) -> str:
    """Return the name of the Job that a trial of the ledger is in: that of the first trial of its pod."""
    return trial_job_name(run_job, entry.first, entry.attempt)


def build_trial_job(
    view: View, run: CurrentRun, ledger: Ledger, pod_of: Sequence[Entry], trainer: Image
) -> dict[str, Any]:
    """Return the Job of a trial, or of several that share a pod.

    The hold-out is not in the pod; a failure is told at once, since the pod is not tried again.
    """
    if view.spec.tuning is None:
        raise ValueError("a trial without spec.tuning")
    aim = objective(view.spec.tuning, view.spec.evaluation.primary)
    told, entry = stage_spec(view, run.number, run.version, None, None), pod_of[0]
    alone = len(pod_of) == 1
    told = replace(
        with_parameters(told, entry.parameters) if alone else told,
        data=replace(told.data, snapshot=ledger.header.digest, schema=None),
        primary_metric=aim.metric,
        primary_direction=aim.direction,
        gates=(),
        trial=_trial(pod_of, validation(view)),
    )
    encoded = stage.encode(told)
    env = environment(run.number)
    ours = {**env, names.ENV_STAGE: encoded}
    # Of several trials the built-in stage reads the parameters in what it is told; nobody else's program is there.
    given, index = (parameter_values(entry.parameters), entry.index) if alone else (None, None)
    train = train_container(view, trainer, env, encoded, given, index)
    # A token tells one pod from another, and so no trial from those that share its pod.
    reports = alone and view.spec.tuning.pruning is not None and bool(view.report_url)
    pod = Pod(
        init=[
            stage_container(view, names.STAGE_FETCH, trainer, ours, ("input", "holdout"), keys=True),
            _reporting(view, train) if reports else train,
        ],
        containers=[stage_container(view, names.STAGE_SCORE, trainer, ours, (), reads=("input", "holdout", "output"))],
        tokens={REPORT: names.REPORTS_AUDIENCE} if reports else {},
    )
    trial_labels = {labels.STEP_LABEL: TRIAL, labels.TRIAL_LABEL: str(entry.index)}
    return jobs.build_job(
        jobs.Job(
            name=job_of(run.job, entry),
            namespace=view.namespace,
            labels={**job_labels(view, run.number), **trial_labels},
            annotations={RUN_SPEC_HASH_ANNOTATION: view.run_spec_hash()},
            tries_again=0,
            deadline_seconds=view.spec.run_policy.active_deadline_seconds,
            pod_annotations=WITHOUT_IDENTITY,
            pod=_pod(view, pod),
        )
    )


def _reporting(view: View, train: Container) -> Container:
    """Return the train container with what it reports by: the operator's address, and a token that says which pod it is.

    Our own stage measures itself on the validation rows, which nobody else's program sees.
    """
    env = {names.ENV_REPORT_URL: view.report_url, names.ENV_REPORT_TOKEN: f"{WORK}/{REPORT}/token"}
    reads = (REPORT,) if view.spec.train.container is not None else (REPORT, "holdout")
    return replace(
        train,
        env={**env, **train.env},
        folders={**train.folders, **{name: f"{WORK}/{name}" for name in reads}},
        read_only_folders=train.read_only_folders | set(reads),
    )


def build_publish_job(view: View, run: CurrentRun, ledger: Ledger, trainer: Image) -> dict[str, Any]:
    """Return the Job that trains with the best parameters, opens the hold-out for the first time, and publishes.

    It trains on all rows to train on, or, to make the best trial's model once more, on those of the trial.
    """
    champion = next((one for one in view.versions if one.name == run.champion), None)
    search = search_facts(view, ledger)
    told = stage_spec(view, run.number, run.version, champion, None)
    best = ledger.ranked(search.direction)[0]
    told = replace(
        with_parameters(told, best.parameters),
        data=replace(told.data, snapshot=ledger.header.digest, without=_left_out(view)),
        search=search,
    )
    shards = [ledger_name(run.job, place) for place in range(len(encode(ledger, ledger)))]
    return build_run_job(view, told, run.champion, trainer, shards)


def search_facts(view: View, ledger: Ledger) -> stage.Search:
    """Return what report and lineage tell of the search: the best trials, as many as have room. One has succeeded."""
    tuning = view.spec.tuning
    if tuning is None:
        raise ValueError("a search without spec.tuning")
    aim = objective(tuning, view.spec.evaluation.primary)
    ranked = ledger.ranked(aim.direction)
    told: list[stage.RankedTrial] = []
    size = 0
    for one in ranked[:TOLD_BEST]:
        size += sum(len(f"{name}{text}".encode()) + 8 for name, text in one.parameters.items())
        if told and size > MOST_TOLD:
            break
        told.append(stage.RankedTrial(one.index, one.value or 0.0, parameter_values(one.parameters)))
    return stage.Search(
        algorithm=tuning.algorithm.name,
        seed=tuning.algorithm.seed,
        objective_metric=aim.metric,
        direction=aim.direction,
        trials=len(ledger.entries),
        succeeded=ledger.count(SUCCEEDED),
        failed=ledger.count(FAILED),
        pruned=ledger.count(PRUNED),
        best_index=told[0].index,
        best_value=told[0].value,
        validation=_in_words(validation(view)),
        parameters=told[0].parameters,
        best=tuple(told),
        publish=tuning.publish,
        best_model=ranked[0].model if tuning.publish == stage.BEST_TRIAL else "",
    )


def _left_out(view: View) -> stage.Holdout | None:
    """Return the rows that validated the trials, where what is published is trained without them."""
    rows, tuning = validation(view), view.spec.tuning
    if tuning is None or tuning.publish != stage.BEST_TRIAL or rows.fraction is None:
        return None
    return stage.Holdout(float(rows.fraction), rows.strategy, rows.column)


def validation(view: View) -> Validation:
    """Return the rows that measure trials: what the spec says, or folds where our own stage can fit them."""
    given = view.spec.tuning.validation if view.spec.tuning is not None else None
    if given is not None:
        return given
    holdout = view.spec.data.holdout
    rows = Validation(folds=5) if view.spec.train.sklearn is not None else Validation(fraction="0.2")
    return rows.model_copy(update={"strategy": holdout.strategy, "column": holdout.column})


def _in_words(rows: Validation) -> str:
    latest = f", by {rows.column}" if rows.strategy == "Latest" else ""
    return f"{rows.folds} folds{latest}" if rows.folds is not None else f"fraction {rows.fraction}{latest}"


def _trial(pod_of: Sequence[Entry], rows: Validation) -> stage.Trial:
    several = len(pod_of) > 1
    return stage.Trial(
        index=pod_of[0].index,
        attempt=pod_of[0].attempt,
        folds=rows.folds or 0,
        fraction=float(rows.fraction) if rows.fraction is not None else 0.0,
        strategy=rows.strategy,
        column=rows.column,
        pod=tuple(stage.PodTrial(one.index, parameter_values(one.parameters)) for one in pod_of if several),
    )


def _pod(view: View, pod: Pod) -> Pod:
    return replace(
        pod,
        template=view.spec.pod_template,
        service_account=view.spec.store.service_account_name,
        restart_policy="Never",
    )
