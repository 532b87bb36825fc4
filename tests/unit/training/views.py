"""Views of a TrainingJob for the tests of its plan."""

from __future__ import annotations

from typing import Any

from modelmill.api.training_job import TrainingJobSpec
from modelmill.training.view import View
from tests.support import objects as o

IMAGE = "trainer:1"


def view(parent: dict[str, Any], **more: Any) -> View:
    defaults: dict[str, Any] = {"jobs": {}, "pods": {}, "versions": [], "services": [], "now": o.NOW}
    spec = TrainingJobSpec.model_validate(parent["spec"])
    return View(parent=parent, spec=spec, status=parent.get("status") or {}, **{**defaults, **more})
