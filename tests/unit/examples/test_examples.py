from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from modelmill.contracts import names
from modelmill.kube import labels
from tests.support.programs import ROOT, debian_program
from tests.support.schema import validate

EXAMPLES = ROOT / "examples"
MANIFESTS = sorted(
    path
    for folder in ("quickstart", "container-image", "script", "search", "import")
    for path in (EXAMPLES / folder).glob("*.yaml")
)


def objects(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text()) if one]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_every_field_is_known_and_within_its_bounds(path: Path) -> None:
    found = objects(path)
    assert found
    for one in found:
        validate(one)


def test_there_are_examples_of_the_kinds_that_people_write() -> None:
    written = {one["kind"] for path in MANIFESTS for one in objects(path)}
    assert written == {"Secret", "TrainingJob", "ModelVersion", "InferenceService"}


def test_an_unknown_field_and_a_wrong_value_would_be_found() -> None:
    (job,) = objects(EXAMPLES / "quickstart" / "2-training-job.yaml")
    wrong = copy.deepcopy(job)
    wrong["spec"]["evaluation"]["gates"][0]["least"] = "1"
    with pytest.raises(ValueError, match=r"spec\.evaluation\.gates\[0\]\.least"):
        validate(wrong)
    wrong = copy.deepcopy(job)
    wrong["spec"]["runPolicy"] = {"backoffLimit": 2000}
    with pytest.raises(ValidationError):
        validate(wrong)


def test_the_quick_start_fits_together() -> None:
    secret, job, service = (
        objects(EXAMPLES / "quickstart" / name)[0]
        for name in ("1-store-credentials.yaml", "2-training-job.yaml", "3-inference-service.yaml")
    )
    assert set(secret["stringData"]) == {names.ENV_ACCESS_KEY, names.ENV_SECRET_KEY}
    assert job["spec"]["store"]["secretRef"]["name"] == secret["metadata"]["name"]
    assert service["spec"]["model"]["name"] == job["spec"]["model"]
    assert service["spec"]["monitoring"]["retrain"]["trainingJob"] == job["metadata"]["name"]
    assert job["spec"]["triggers"]["alerts"]["enabled"] is True


def test_prometheus_finds_the_servers(tmp_path: Path) -> None:
    config = yaml.safe_load((EXAMPLES / "prometheus" / "prometheus.yaml").read_text())
    servers = config["scrape_configs"][0]
    # Debian builds Prometheus without discovery in Kubernetes, so that its promtool knows everything but this.
    (discovery,) = servers.pop("kubernetes_sd_configs")
    assert discovery == {"role": "pod", "selectors": [{"role": "pod", "label": labels.SERVICE_LABEL}]}
    relabelled = {rule["target_label"] for rule in servers["relabel_configs"] if "target_label" in rule}
    assert relabelled == {"namespace", "pod"}
    (port,) = [rule["regex"] for rule in servers["relabel_configs"] if rule.get("action") == "keep"]
    assert port == str(names.HTTP_PORT)
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    tool = debian_program("promtool", "prometheus")
    done = subprocess.run(
        [tool, "check", "config", "--syntax-only", str(tmp_path / "prometheus.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_alertmanager_reaches_the_operator() -> None:
    path = EXAMPLES / "prometheus" / "alertmanager.yaml"
    tool = debian_program("amtool", "prometheus-alertmanager")
    done = subprocess.run([tool, "check-config", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    drift = ["alertname=ModelmillFeatureDrift", "modelmill_kind=Drift"]
    for alert_labels, receivers in ((drift, "modelmill,people"), (["alertname=NodeDown"], "people")):
        arguments = [
            tool,
            "config",
            "routes",
            "test",
            f"--config.file={path}",
            f"--verify.receivers={receivers}",
            *alert_labels,
        ]
        done = subprocess.run(arguments, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
