"""The whole life of a model on a real cluster: trained, served, drifting, retrained by an alert, rolled out, better.

Run by `make demo`. The account tells each step as it happens; the exit code is 0 only when everything came true and no
request failed.
"""

from __future__ import annotations

import string
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from hack.demo.account import Account, shares, table, version_rows
from hack.demo.cars import Car, as_csv, load
from hack.demo.kube import CommandFailed, Kube, connect, fail
from hack.demo.release import install
from hack.demo.traffic import Traffic, mean_absolute_error

NAMESPACE = "modelmill-demo"
BUCKET = "modelmill-demo"
HERE = Path(__file__).resolve().parent
CALM_SECONDS = 45.0
FIRST_YEARS = range(1970, 1974)
CALM_YEARS = range(1974, 1977)
TODAY = range(1980, 1983)


class Unexpected(Exception):
    """The story did not go as promised; the text says what was awaited and what was seen."""


def main() -> int:
    """Play the story; return the exit code."""
    account = Account()
    try:
        kube = connect()
        return play(kube, account)
    except (CommandFailed, Unexpected) as error:
        return fail(str(error))
    except KeyboardInterrupt:
        return 130


def play(kube: Kube, account: Account) -> int:
    """Play the story on this cluster."""
    cars = load()
    account.chapter("The operator is installed by its Helm chart")
    install(kube, account.say)
    account.chapter("A clean namespace, and the cars of 1970-73 in the store")
    prepare(kube, account, cars)
    account.follow_events(kube, NAMESPACE)
    account.chapter(
        "A TrainingJob and an InferenceService are applied; the first run trains, and what passes is served"
    )
    kube.run("kubectl", "apply", "-f", "-", text=manifests(kube))
    first = wait_for_run(kube, account, 1)
    wait(kube, "the service to be stable", lambda: phase(kube) == "Stable" and stable(kube) == first, 180)
    traffic = Traffic(service_url(kube), "fuel-economy", of(cars, CALM_YEARS))
    try:
        story(kube, account, cars, traffic, first)
    finally:
        traffic.stop()
    return conclude(kube, account, traffic)


def story(kube: Kube, account: Account, cars: list[Car], traffic: Traffic, first: str) -> None:
    """Live traffic, drift, retraining, rollout."""
    account.chapter(f"Live traffic: cars of 1974-76, which {first} knows well")
    began = time.monotonic()
    traffic.start()
    upload(kube, {year: of(cars, [year]) for year in CALM_YEARS})
    time.sleep(CALM_SECONDS)
    account.say(error_line(traffic, began))
    account.chapter(
        "Ten years later: cars of 1980-82. The engines have changed; their true mileage follows as new data"
    )
    changed = time.monotonic()
    traffic.cars = of(cars, TODAY)
    upload(kube, {year: of(cars, [year]) for year in range(1977, 1983)})
    wait(kube, "the drift alert", lambda: drifted(kube)["status"] == "True", 240)
    drift = drifted(kube)
    account.say(f"drift after {time.monotonic() - changed:.0f} s: {drift['message']}", "Alertmanager -> operator")
    account.say(error_line(traffic, changed))
    account.chapter("The alert starts a run; champion and challenger are measured on the same fresh hold-out")
    second = wait_for_run(kube, account, 2)
    account.chapter(f"{second} is approved by its gates and rolled out step by step, measured on live traffic")
    wait(kube, f"{second} to take all traffic", lambda: stable(kube) == second and phase(kube) == "Stable", 300)
    served = time.monotonic()
    account.say(f"{second} serves; the cars of 1980-82 go on for 15 s")
    time.sleep(15)
    account.say(error_line(traffic, served))


def prepare(kube: Kube, account: Account, cars: list[Car]) -> None:
    """Make an empty namespace and an empty bucket with the first cars."""
    kube.run("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", "--timeout=120s")
    kube.make_namespace(NAMESPACE)
    store = s3(kube)
    try:
        store.create_bucket(Bucket=BUCKET)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", ()):
            store.delete_object(Bucket=BUCKET, Key=item["Key"])
    upload(kube, {year: of(cars, [year]) for year in FIRST_YEARS})
    account.say(f"{len(of(cars, FIRST_YEARS))} cars in s3://{BUCKET}/cars/, one file a year")


def manifests(kube: Kube) -> str:
    """Return the demo's manifests for this cluster's store."""
    store = kube.status["s3"]
    return string.Template((HERE / "manifests.yaml").read_text()).substitute(
        namespace=NAMESPACE,
        bucket=BUCKET,
        endpoint=store["endpoint_in_cluster"],
        access_key=store["access_key"],
        secret_key=store["secret_key"],
    )


def wait_for_run(kube: Kube, account: Account, number: int) -> str:
    """Wait until run `number` has published an approved version; return its name."""

    def last() -> dict[str, Any]:
        found = kube.get("TrainingJob", "fuel-economy", NAMESPACE) or {}
        return (found.get("status") or {}).get("lastRun") or {}

    wait(kube, f"run {number} to end", lambda: last().get("number", 0) >= number, 240)
    run = last()
    if run["outcome"] != "Published":
        raise Unexpected(f"run {run['number']} ended with {run['outcome']}: {run.get('message')}")
    account.say(f"run {run['number']}: mae {run['metrics']['mae']} on the hold-out", "TrainingJob")
    if "championMetrics" in run:
        account.say(
            f"the champion {run['champion']} on the same rows: mae {run['championMetrics'].get('mae')}", "TrainingJob"
        )
    return str(run["version"])


def conclude(kube: Kube, account: Account, traffic: Traffic) -> int:
    """Print the table and how to look around; return 0 when no request failed and the new model is better."""
    answers = list(traffic.answers)
    rows = version_rows(kube.list("ModelVersion", NAMESPACE), answers, set(TODAY))
    heads = ["version", "trained on", "mae hold-out", "mae on 1980-82, live", "requests", "triggered by"]
    account.chapter("What happened")
    print(table(heads, rows))
    print("\n  Traffic share over time")
    names = [row[0] for row in rows]
    print("\n".join(shares(answers, answers[0].moment, names)))
    failures = [answer for answer in answers if answer.failure is not None]
    print(f"\n  {len(answers)} requests, {len(failures)} failed")
    for answer in failures[:5]:
        print(f"    {answer.failure}")
    print(f"\n  Look around:  export KUBECONFIG={kube.environment.get('KUBECONFIG', '')}")
    print(f"                kubectl get modelmill -n {NAMESPACE}")
    print(f"                kubectl describe trainingjobs.modelmill.dev fuel-economy -n {NAMESPACE}")
    print(f"                Prometheus {kube.status.get('prometheus')}, Alertmanager {kube.status.get('alertmanager')}")
    print("  Stop:         make cluster-down")
    errors = [float(row[3]) for row in rows if row[3] != "-"]
    if failures or len(errors) != 2 or errors[1] >= errors[0]:
        return fail("a request failed, or the new version is not better on today's cars")
    return 0


def error_line(traffic: Traffic, since: float) -> str:
    """Return requests, failures and error since a moment."""
    answers = traffic.since(since)
    error = mean_absolute_error(answers)
    failed = sum(answer.failure is not None for answer in answers)
    shown = "unknown" if error is None else f"{error:.1f} mpg"
    return f"{len(answers)} requests, {failed} failed, mean absolute error {shown}"


def upload(kube: Kube, years: dict[int, list[Car]]) -> None:
    """Put one CSV file a year into the store."""
    for year, cars in years.items():
        if cars:
            s3(kube).put_object(Bucket=BUCKET, Key=f"cars/{year}.csv", Body=as_csv(cars))


def s3(kube: Kube) -> Any:
    """Return a client of the cluster's store."""
    store = kube.status["s3"]
    return boto3.client(
        "s3",
        endpoint_url=store["endpoint"],
        aws_access_key_id=store["access_key"],
        aws_secret_access_key=store["secret_key"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=10),
    )


def of(cars: list[Car], years: Any) -> list[Car]:
    """Return the cars of these years."""
    return [car for car in cars if car.year in years]


def service(kube: Kube) -> dict[str, Any]:
    """Return the InferenceService."""
    return kube.get("InferenceService", "fuel-economy", NAMESPACE) or {}


def phase(kube: Kube) -> str:
    """Return the phase of the InferenceService."""
    return str((service(kube).get("status") or {}).get("phase", ""))


def stable(kube: Kube) -> str:
    """Return the version that serves."""
    return str(((service(kube).get("status") or {}).get("stable") or {}).get("version", ""))


def drifted(kube: Kube) -> dict[str, Any]:
    """Return the condition DriftDetected of the InferenceService; Unknown while there is none."""
    conditions = (service(kube).get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == "DriftDetected"), {"status": "Unknown", "message": ""})


def service_url(kube: Kube) -> str:
    """Return the URL of the Service, by its cluster address."""
    found = kube.get("Service", "fuel-economy", NAMESPACE) or {}
    return f"http://{found['spec']['clusterIP']}:80"


def wait(kube: Kube, what: str, true: Callable[[], bool], seconds: float) -> None:
    """Wait until something is true. Raises Unexpected with the state of the objects after `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return
        time.sleep(1)
    state = kube.run("kubectl", "get", "modelmill,jobs,pods", "-n", NAMESPACE, "-o", "wide")
    raise Unexpected(f"waited {seconds:.0f} s for {what}\n{state}")


if __name__ == "__main__":
    sys.exit(main())
