"""The Job of one run: init `fetch`, `train` and `evaluate`, main `publish`, over shared folders.

Where data are prepared, `prepare` and `divide` come after `fetch`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from modelmill.api.base import Store
from modelmill.api.fingerprint import short_hash
from modelmill.api.objects import ModelVersion
from modelmill.api.pods import Resources
from modelmill.api.training_job import ContainerTrain
from modelmill.contracts import names, parameters, stage
from modelmill.kube import labels
from modelmill.training.builders.stage_spec import stage_spec
from modelmill.training.recipe import RECIPE_ANNOTATION, as_made, parameters_of, told_again, written
from modelmill.training.view import View
from modelmill.workloads import jobs
from modelmill.workloads.containers import TMP, Container, Image
from modelmill.workloads.pods import Pod

WORK = "/modelmill"
REQUESTS = {"cpu": "100m", "memory": "384Mi"}
TRAINED_HASH_ANNOTATION = f"{labels.GROUP}/trained-hash"
RUN_SPEC_HASH_ANNOTATION = f"{labels.GROUP}/run-spec-hash"
PUBLISH = "publish"
"""Step of the Job of a search that publishes."""
CHAMPION_ANNOTATION = f"{labels.GROUP}/champion"
STORE_ANNOTATION = f"{labels.GROUP}/store"
# The webhook that gives the pods of a service account a token for AWS gives it to every container that is not named here.
# Source: amazon-eks-pod-identity-webhook, README
MOST_THREADS = 256
WITHOUT_IDENTITY = {"eks.amazonaws.com/skip-containers": f"{names.STAGE_TRAIN},{names.STAGE_EVALUATE}"}
PREPARED_WITHOUT_IDENTITY = {
    name: f"{containers},{names.STAGE_PREPARE},{names.STAGE_DIVIDE}" for name, containers in WITHOUT_IDENTITY.items()
}


def job_name(view: View, number: int) -> str:
    """Return the deterministic name of the run's Job: a namesake of a deleted TrainingJob has another uid, so another Job."""
    return f"{view.name}-{number}-{short_hash(view.uid)[:6]}"


def build_job(
    view: View,
    number: int,
    version: str,
    champion: ModelVersion | None,
    trainer: Image,
    unless_digest: str | None = None,
) -> dict[str, Any]:
    """Return the Job of run `number`, which ends after fetch when the data have `unless_digest`.

    backoffLimit counts failures of the program; a disruption of the pod is not counted, and exit code 3 of a built-in stage
    ends the run at once, since trying again would fail again.
    """
    told = stage_spec(view, number, version, champion, unless_digest)
    return _job(view, view, told, trainer, champion=champion.name if champion is not None else "")


def build_reproduction(view: View, number: int, version: ModelVersion, trainer: Image) -> dict[str, Any]:
    """Return the Job of run `number`, which makes a version again as its recipe says, with the version's store.

    Raises ValueError for a version without a recipe that can be read.
    """
    recipe, told = version.spec.recipe, told_again(view, version, number)
    if recipe is None or told is None:
        raise ValueError(f"{version.name} has no recipe that can be read")
    image = replace(trainer, name=recipe.image)
    job = _job(view, as_made(view, version, recipe), told, image, given=parameters_of(recipe))
    job["metadata"]["annotations"][labels.REPRODUCE_ANNOTATION] = version.name
    return job


def build_run_job(
    view: View, told: stage.StageSpec, champion: str | None, trainer: Image, ledger: Sequence[str]
) -> dict[str, Any]:
    """Return the Job of a search that publishes what was found. ledger: names of the ConfigMaps with all trials."""
    given = told.search.parameters if told.search is not None else {}
    job = _job(view, view, told, trainer, champion=champion or "", given=given, ledger=ledger)
    for meta in (job["metadata"], job["spec"]["template"]["metadata"]):
        meta["labels"][labels.STEP_LABEL] = PUBLISH
    return job


def _job(
    view: View,
    made: View,
    told: stage.StageSpec,
    trainer: Image,
    *,
    champion: str = "",
    given: Mapping[str, Any] | None = None,
    ledger: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a run's Job. made: what the pod is built from. given: the train container's parameters, or None."""
    number, policy = told.run, view.spec.run_policy
    prepare = made.spec.prepare.container if made.spec.prepare is not None else None
    recipe = written(told, trainer.name, made.spec.train, given, prepare)
    return jobs.build_job(
        jobs.Job(
            name=job_name(view, number),
            namespace=view.namespace,
            labels=job_labels(view, number),
            annotations={
                **run_annotations(view, champion),
                STORE_ANNOTATION: _store_text(made),
                **({RECIPE_ANNOTATION: recipe} if recipe is not None else {}),
            },
            tries_again=policy.backoff_limit,
            deadline_seconds=policy.active_deadline_seconds,
            final_containers=_final_stages(made),
            pod_annotations=WITHOUT_IDENTITY if prepare is None else PREPARED_WITHOUT_IDENTITY,
            pod=_pod(made, number, stage.encode(told), trainer, given, ledger),
        )
    )


def job_labels(view: View, number: int) -> dict[str, str]:
    """Return the labels of every Job and pod of run `number`."""
    return {
        labels.TRAINING_JOB_LABEL: view.name,
        labels.RUN_LABEL: str(number),
        labels.MODEL_LABEL: view.spec.model,
        labels.MANAGED_BY_LABEL: labels.MANAGED_BY,
        "app.kubernetes.io/name": "modelmill-trainer",
        "app.kubernetes.io/instance": view.name,
    }


def run_annotations(view: View, champion: str | None) -> dict[str, str]:
    """Return what the first Job of a run says about it: from which spec it was made, and what it is compared with."""
    return {
        TRAINED_HASH_ANNOTATION: view.trained_hash(),
        RUN_SPEC_HASH_ANNOTATION: view.run_spec_hash(),
        CHAMPION_ANNOTATION: champion or "",
        STORE_ANNOTATION: _store_text(view),
    }


def _store_text(view: View) -> str:
    return view.spec.store.model_dump_json(by_alias=True, exclude_none=True)


def store_of(view: View, job: str) -> Store:
    """Return the store that the Job reads and publishes with: the spec's may be another by now.

    It is the spec's for a Job that does not say it: one of an earlier release, or one that somebody edited.
    """
    made = view.jobs.get(job)
    annotations = (made["metadata"].get("annotations") or {}) if made is not None else {}
    try:
        return Store.model_validate_json(annotations.get(STORE_ANNOTATION, ""))
    except ValidationError:
        return view.spec.store


def _final_stages(view: View) -> list[str]:
    """Return the built-in stages: what an image of somebody else means by its exit codes is not known."""
    train = [] if view.spec.train.container is not None else [names.STAGE_TRAIN]
    divide = [names.STAGE_DIVIDE] if view.spec.prepare is not None else []
    return [names.STAGE_FETCH, *divide, *train, names.STAGE_EVALUATE, names.STAGE_PUBLISH]


def _pod(
    view: View, number: int, told: str, image: Image, given: Mapping[str, Any] | None, ledger: Sequence[str]
) -> Pod:
    env = environment(number)
    ours = {**env, names.ENV_EVALUATED: f"{WORK}/evaluated", names.ENV_STAGE: told}
    # The model is loaded and run where there are no keys; where there are, nothing is mounted that a tenant's program wrote.
    reads = ("input", "holdout", "output", *(["trials"] if ledger else []))
    at = {names.ENV_TRIALS: f"{WORK}/trials"} if ledger else {}
    evaluate = stage_container(view, names.STAGE_EVALUATE, image, {**ours, **at}, ("evaluated",), reads=reads)
    return Pod(
        init=[
            *_rows(view, image, ours),
            train_container(view, image, env, told, given),
            evaluate,
        ],
        containers=[
            stage_container(view, names.STAGE_PUBLISH, image, ours, (), reads=("holdout", "evaluated"), keys=True)
        ],
        template=view.spec.pod_template,
        service_account=view.spec.store.service_account_name,
        restart_policy="Never",
        config_maps={**({"trials": ledger} if ledger else {}), **_script_map(view)},
    )


def _script_map(view: View) -> dict[str, list[str]]:
    """Return the volume of the script: one of a ConfigMap that is not there is empty, which fetch tells."""
    script = view.spec.train.script
    return {"script": [script.config_map_ref.name]} if script is not None else {}


def _rows(view: View, image: Image, ours: Mapping[str, str]) -> list[Container]:
    """Return the stages that bring the rows: fetch, and where the data are prepared the user's image and divide.

    prepare sees the objects, of which the hold-out is not divided yet, and train sees neither them nor what it left.
    """
    prepare = view.spec.prepare
    script = ("script",) if view.spec.train.script is not None else ()
    at = {names.ENV_SCRIPT: f"{WORK}/script"} if script else {}
    if prepare is None:
        env = {**ours, **at}
        return [stage_container(view, names.STAGE_FETCH, image, env, ("input", "holdout"), reads=script, keys=True)]
    at |= {names.ENV_RAW: f"{WORK}/raw", names.ENV_PREPARED: f"{WORK}/prepared"}
    fetch = stage_container(
        view, names.STAGE_FETCH, image, {**ours, **at}, ("input", "holdout", "raw"), reads=script, keys=True
    )
    told = {name: value for name, value in ours.items() if name not in (names.ENV_STAGE, names.ENV_EVALUATED)}
    own = own_container(view, names.STAGE_PREPARE, prepare.container, told, ())
    own = replace(
        own, folders={"raw": f"{WORK}/input", "prepared": f"{WORK}/output"}, read_only_folders=frozenset(["raw"])
    )
    divide = stage_container(view, names.STAGE_DIVIDE, image, {**ours, **at}, ("input", "holdout"), reads=("prepared",))
    return [fetch, own, divide]


def own_container(
    view: View, name: str, container: ContainerTrain, env: Mapping[str, str], folders: tuple[str, ...]
) -> Container:
    """Return a stage with an image of the user."""
    own = {item.name: item.value for item in container.env}
    # Python keeps back what it prints to a pipe: its last words would come after those of the error that ended it.
    plain = {**env, "PYTHONUNBUFFERED": "1"}
    built = stage_container(view, name, Image(container.image), {**plain, **own}, folders)
    # With how many threads an image of somebody else computes is its own matter.
    built = replace(built, env={**plain, **own})
    return replace(built, args=container.args, command=container.command, read_only_root=False)


def train_container(
    view: View,
    image: Image,
    env: Mapping[str, str],
    told: str,
    given: Mapping[str, Any] | None,
    trial: int | None = None,
) -> Container:
    """Return the train stage: it sees neither the hold-out nor the store's keys.

    given: parameters that it is told, None where it has none. trial: index of the trial, None in a run that publishes.
    """
    container = view.spec.train.container
    folders = ("input", "output")
    found = {**env, **(parameters.environment(given) if given is not None else {})}
    if trial is not None:
        found[names.ENV_TRIAL] = str(trial)
    script = view.spec.train.script
    if container is None:
        built = stage_container(view, names.STAGE_TRAIN, image, {**found, names.ENV_STAGE: told}, folders)
        if script is None:
            return built
        return replace(built, args=[names.STAGE_SCRIPT, *(f"--argument={one}" for one in script.args)])
    return own_container(view, names.STAGE_TRAIN, container, found, folders)


def stage_container(
    view: View,
    name: str,
    image: Image,
    env: Mapping[str, str],
    folders: tuple[str, ...],
    *,
    reads: tuple[str, ...] = (),
    keys: bool = False,
) -> Container:
    """Return a stage. folders: volumes that it writes to; reads: those that it only reads."""
    resources = view.spec.pod_template.resources
    return Container(
        name=name,
        image=image,
        requests=REQUESTS,
        resources=resources,
        args=[name],
        env={names.ENV_THREADS: str(threads_of(resources)), **env},
        store=view.spec.store if keys else None,
        folders={folder: f"{WORK}/{folder}" for folder in (*reads, *folders)},
        read_only_folders=frozenset(reads),
    )


def threads_of(resources: Resources) -> int:
    """Return how many threads a stage computes with: the CPUs of its limit, else of its request, rounded up; else one.

    A library by itself takes one for each CPU of the node. Beside other pods those wait for each other: the same fit was seen
    to take 100 times as long. Source of the texts: Kubernetes, apimachinery, resource.Quantity.
    """
    text = resources.limits.get("cpu") or resources.requests.get("cpu") or "1"
    thousandths = text.endswith("m")
    try:
        cpus = float(text.removesuffix("m")) / (1000 if thousandths else 1)
    except ValueError:
        return 1
    return min(max(math.ceil(cpus), 1), MOST_THREADS)


def environment(number: int) -> dict[str, str]:
    """Return the variables that every stage has, in the order in which they may refer to each other."""
    return {
        names.ENV_INPUT: f"{WORK}/input",
        names.ENV_OUTPUT: f"{WORK}/output",
        names.ENV_HOLDOUT: f"{WORK}/holdout",
        names.ENV_METRICS: f"{WORK}/output/metrics.json",
        names.ENV_RUN: str(number),
        names.ENV_SEED: "0",
        "HOME": TMP,
    }
