"""The commands by which an image of one's own is tried without a cluster, as the page has them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelmill.contracts import result
from modelmill.contracts.names import ENV_TERMINATION_PATH
from tests.support.pages import blocks
from tests.support.programs import ROOT

PAGE = ROOT / "docs" / "how-to" / "train-your-own-image.md"


def block_with(words: str) -> str:
    (found,) = [block for block in blocks(PAGE) if words in block]
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder that looks like the checkout, with the spec.json of the page; /tmp of the page is below it."""
    for name in ("operator", "images", "examples", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "tmp").mkdir()
    (tmp_path / "spec.json").write_text(block_with('"gates"').replace("/tmp/", f"{tmp_path}/tmp/"))
    return tmp_path


def run(checkout: Path, commands: str) -> result.StageResult:
    """Run commands of the page with this Python and nothing of ours on its path; return how the last stage ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MODELMILL_", "PYTHON"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment[ENV_TERMINATION_PATH] = str(checkout / "ending")
    done = subprocess.run(
        ["sh", "-euc", commands.replace("/tmp/", f"{checkout}/tmp/")],
        cwd=checkout, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return result.decode((checkout / "ending").read_text())


@pytest.mark.parametrize("program", ["the page's", "examples/container-image/train.py"])
def test_the_commands_work_as_printed(checkout: Path, program: str) -> None:
    if program.startswith("examples"):
        text = (ROOT / program).read_text()
    else:
        text = block_with("import pandas")
    (checkout / "train.py").write_text(text)
    ending = run(checkout, block_with("modelmill_trainer fetch"))
    assert ending.outcome == result.PUBLISHED, ending.reasons
    assert ending.artifact is not None
    assert ("oob_r2" in ending.metrics) == program.startswith("examples")


def test_the_three_stages_are_one_command_with_the_built_in_one(checkout: Path) -> None:
    spec: dict[str, Any] = json.loads((checkout / "spec.json").read_text())
    named = re.search(r'`("estimator": \{.*?\})`', PAGE.read_text())
    assert named is not None
    (checkout / "spec.json").write_text(json.dumps(spec | json.loads(f"{{{named[1]}}}")))
    first, _, rest = block_with("modelmill_trainer fetch").partition("python -m modelmill_trainer fetch")
    assert rest
    ending = run(checkout, f"{first}python -m modelmill_trainer run --stage-file spec.json --work run")
    assert ending.outcome == result.PUBLISHED, ending.reasons
