"""docs/operations/alerts.md has a section for each alert, where its link leads, and names recordings that there are."""

from __future__ import annotations

import re
from typing import Any

from modelmill.api.monitoring import KINDS
from modelmill.api.objects import read_inference_service
from modelmill.contracts.verdict import Holdout
from modelmill.monitoring.rules.group import build_group
from modelmill.monitoring.stack import RUNBOOKS
from tests.support import objects as o
from tests.support.programs import ROOT

PAGE = ROOT / RUNBOOKS
DRIFT = ROOT / "docs" / "how-to" / "choose-a-drift-threshold.md"


def rules() -> list[dict[str, Any]]:
    parent = o.inference_service(monitoring={"staleness": {"maxAgeSeconds": 86_400}})
    track = {"version": "cars-1", "digest": o.DIGEST, "revision": "0123456789", "replicas": 1, "ready": 1}
    group = build_group(
        read_inference_service({**parent, "status": {"stable": track}}), Holdout(0.1, 1e-4, True), RUNBOOKS
    )
    assert group is not None
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_the_link_of_every_alert_leads_to_its_section() -> None:
    sections = re.findall(r"^## (Modelmill\w+)$", PAGE.read_text(), re.MULTILINE)
    alerts = [rule for rule in rules() if "alert" in rule]
    assert {alert["alert"] for alert in alerts} == {f"Modelmill{kind}" for kind in KINDS} == set(sections)
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"{RUNBOOKS}#{alert['alert'].lower()}"


def test_every_problem_is_explained() -> None:
    problems = {rule["labels"]["problem"] for rule in rules() if "problem" in rule["labels"]}
    assert len(problems) == 6
    assert problems <= set(re.findall(r"^\| (\w+) \|", PAGE.read_text(), re.MULTILINE))


def test_recordings_that_pages_name_are_made() -> None:
    made = {rule.get("record") for rule in rules()}
    for page in (PAGE, DRIFT):
        named = set(re.findall(r"\binferenceservice\w*:\w+:\w+", page.read_text()))
        assert named
        assert named <= made
