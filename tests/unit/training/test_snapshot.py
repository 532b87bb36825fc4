"""spec.data.snapshot: from the resource to the stage, and from the run's data to the version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelmill.contracts import names, stage
from modelmill.contracts.result import DataFacts
from tests.support import objects as o
from tests.unit.training.planning import IMAGE, complete, finished, plan, started, status_of, view


def data(**more: Any) -> dict[str, Any]:
    return {**o.training_job()["spec"]["data"], **more}


@pytest.mark.parametrize(("said", "copy"), [({}, False), ({"snapshot": "Digest"}, False), ({"snapshot": "Copy"}, True)])
def test_the_stages_copy_when_the_resource_says_so(said: dict[str, str], copy: bool) -> None:
    (made,) = plan(view(o.training_job(data=data(**said))), IMAGE).create
    env = {one["name"]: one.get("value") for one in made["spec"]["template"]["spec"]["initContainers"][0]["env"]}
    assert stage.decode(env[names.ENV_STAGE]).data.copy is copy


@pytest.mark.parametrize(("copied", "said"), [(True, "Copy"), (False, "Digest")])
def test_a_version_says_what_its_run_kept(copied: bool, said: str) -> None:
    """Not what the resource says by then."""
    parent, manifest = started()
    outcome = replace(o.published(), data=DataFacts(o.DIGEST, 100, 20, copied=copied))
    (version,) = complete(parent, manifest, outcome).create
    assert version["spec"]["lineage"]["dataSnapshot"] == said


def test_a_copy_is_no_other_data() -> None:
    """To ask for copies from now on starts no run."""
    done = finished()
    done["spec"]["data"] = data(snapshot="Copy")
    made = plan(view(done), IMAGE)
    assert not made.create
    assert status_of(made)["phase"] == "Idle"
