"""The process that suggests: it begins with the first search, and neither its death nor its errors hang a search."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelmill.tuning import sampler as module
from modelmill.tuning.ledger import Entry
from modelmill.tuning.sampler import InProcess, SamplerError, SamplerProcess
from modelmill.tuning.space import Axis
from modelmill.tuning.suggest import Search

SEARCH = Search((Axis("x", 0.0, 1.0), Axis("k", choices=("a", "b"), when=None)), "TPE", 3, "Maximize", ({"x": "0.5"},))
RUNNING = [Entry(0, {"x": "0.5", "k": "a"}), Entry(1, {"x": "0.25", "k": "b"}, state="Succeeded", value=0.5)]


async def test_it_suggests_as_the_function_does_and_goes_on_after_its_death() -> None:
    process = SamplerProcess()
    expected = await InProcess().suggest(SEARCH, RUNNING, 3)
    assert await process.suggest(SEARCH, RUNNING, 3) == expected
    assert process._process is not None
    process._process.kill()
    await process._process.wait()
    assert await process.suggest(SEARCH, RUNNING, 3) == expected
    await process._ended()


async def test_a_sampler_error_is_told_and_the_process_goes_on() -> None:
    process = SamplerProcess()
    damaged = [Entry(0, {"x": "1"}, state="Succeeded", value=None)]
    with pytest.raises(SamplerError, match="value"):
        await process.suggest(SEARCH, damaged, 1)
    assert len(await process.suggest(SEARCH, RUNNING, 1)) == 1
    await process._ended()


@pytest.mark.parametrize("code", ["import sys; sys.exit(3)", "import sys; sys.stdin.readline(); sys.exit(3)"])
async def test_a_process_that_dies_again_is_told(code: str) -> None:
    with pytest.raises(SamplerError, match="ended with code 3"):
        await SamplerProcess([sys.executable, "-c", code]).suggest(SEARCH, [], 1)


async def test_a_process_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    process = SamplerProcess([sys.executable, "-c", "import time; time.sleep(600)"])
    with pytest.raises(SamplerError, match="no answer"):
        await process.suggest(SEARCH, [], 1)
    assert process._process is None


async def test_it_ends_when_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "IDLE_SECONDS", 0.01)
    process = SamplerProcess()
    await process.suggest(SEARCH, [], 1)
    running = process._process
    assert running is not None
    assert await running.wait() == 0
    assert process._process is None


def test_an_operator_without_searches_loads_no_sampler() -> None:
    code = "import sys, modelmill.app; print([name for name in ('optuna', 'numpy') if name in sys.modules])"
    path = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert done.stdout.strip() == "[]"
