"""A training script of the user: read once, run as it is, and every way in which it fails told by name."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from modelmill.contracts import names
from modelmill.contracts.artifact import digest
from modelmill.contracts.stage import Script
from modelmill_trainer.facts import Facts
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.lineage import lineage
from modelmill_trainer.scripts import MAX_SCRIPT, fetch_script, run_script
from tests.unit.trainer.runs import facts_of, spec_of

SPEC = spec_of(script=Script("train-script", "train.py"), estimator=None)


def written(folder: Path, text: str) -> Folders:
    """Return the folders of a run whose ConfigMap has the program."""
    where = folders(folder)
    assert where.script is not None
    where.script.mkdir(exist_ok=True)
    where.input.mkdir(exist_ok=True)
    (where.script / "train.py").write_text(text)
    return where


def ran(folder: Path, text: str, *arguments: str) -> Folders:
    where = written(folder, text)
    fetch_script(SPEC, where)
    run_script(SPEC, where, arguments)
    return where


def test_it_is_run_as_a_program_with_its_arguments(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = (
        "import argparse, sys, pathlib\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--out')\n"
        "if __name__ == '__main__':\n"
        "    out = parser.parse_args().out\n"
        "    pathlib.Path('scratch').write_text('it may write where it is')\n"
        "    pathlib.Path(out).write_text('model')\n"
        "    print('said'); print('told', file=sys.stderr)\n"
    )
    where = ran(tmp_path, text, "--out", f"{tmp_path}/output/model.onnx")
    assert (where.output / "model.onnx").read_text() == "model"
    told = capfd.readouterr()
    assert "said" in told.out
    assert "told" in told.err


def test_it_has_the_environment_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(names.ENV_SEED, "7")
    monkeypatch.setenv(names.ENV_STAGE, "{}")
    text = (
        "import os\n"
        "assert os.environ['MODELMILL_SEED'] == '7' and 'MODELMILL_STAGE' not in os.environ\n"
        "assert not os.read(0, 1)\n"
    )
    ran(tmp_path, text)


def test_what_a_script_leaves_behind_does_not_hold_its_end_up(tmp_path: Path) -> None:
    """The child keeps the script's stderr open; it ends with the test, by its pid."""
    pid = tmp_path / "pid"
    text = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"pathlib.Path({str(pid)!r}).write_text(str(child.pid))\n"
        "sys.exit(4)\n"
    )
    try:
        with pytest.raises(StageError, match="exited with code 4"):
            ran(tmp_path, text)
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("module", ["xgboost_of_nobody", "xgboost_of_nobody.sklearn"])
def test_a_library_that_is_not_there_is_named_with_the_mend(tmp_path: Path, module: str) -> None:
    with pytest.raises(StageError, match=r"imports xgboost_of_nobody, .* use train\.container") as caught:
        ran(tmp_path, f"import {module}\n")
    assert (caught.value.reason, caught.value.final) == ("MissingLibrary", True)


@pytest.mark.parametrize(
    ("text", "words", "final"),
    [
        ("raise ValueError('no such column')", "exited with code 1: ValueError: no such column", False),
        ("import sys; sys.exit(5)", "exited with code 5: it said nothing", False),
        ("this is no Python", "SyntaxError", False),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "ended by SIGKILL; when memory ended, raise",
            False,
        ),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by SIGSEGV", False),
        (
            "try:\n    import nothing_like_it\nexcept ImportError:\n    raise KeyError('x') from None",
            "KeyError: 'x'",
            False,
        ),
        ("import sys; sys.stderr.write('x' * 3_000_000); sys.exit(1)", "exited with code 1: xxx", False),
        ("import sys; sys.stderr.buffer.write(b'\\xff\\xfe\\n'); sys.exit(1)", "exited with code 1", False),
    ],
)
def test_how_it_failed_is_told(tmp_path: Path, text: str, words: str, final: bool) -> None:
    with pytest.raises(StageError, match=words) as caught:
        ran(tmp_path, text)
    assert (caught.value.reason, caught.value.final) == ("TrainingFailed", final)
    assert len(caught.value.messages[0]) < 1000


def test_a_config_map_or_a_key_that_is_not_there_is_told_with_the_mend(tmp_path: Path) -> None:
    where = folders(tmp_path)
    where.input.mkdir()
    with pytest.raises(StageError, match=r"kubectl create configmap train-script --from-file=train\.py") as caught:
        fetch_script(SPEC, where)
    assert (caught.value.reason, caught.value.final) == ("ScriptMissing", True)
    written(tmp_path, "pass")
    for key in ("other.py", ".."):
        with pytest.raises(StageError, match=f"the key {key}"):
            fetch_script(replace(SPEC, script=Script("train-script", key)), where)


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), (" \n", "is empty"), ("#" * (MAX_SCRIPT + 1), "more than")]
)
def test_no_program_is_told_before_the_data_are_read(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(StageError, match=words) as caught:
        fetch_script(SPEC, written(tmp_path, text))
    assert caught.value.reason == "ScriptMissing"


def test_a_change_in_the_middle_of_a_run_is_for_the_next_one(tmp_path: Path) -> None:
    first = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('first')"
    where = written(tmp_path, first)
    assert fetch_script(SPEC, where) == digest(first.encode())
    (tmp_path / "script" / "train.py").write_text("raise SystemExit(1)")
    run_script(SPEC, where, [str(tmp_path / "found")])
    assert (tmp_path / "found").read_text() == "first"


def test_a_version_is_made_again_by_its_own_script_alone(tmp_path: Path) -> None:
    where = written(tmp_path, "pass")
    known = replace(SPEC, script=Script("train-script", "train.py", digest(b"pass")))
    assert fetch_script(known, where) == digest(b"pass")
    (tmp_path / "script" / "train.py").write_text("pass # and more")
    with pytest.raises(StageError, match="bring that script back") as caught:
        fetch_script(known, where)
    assert (caught.value.reason, caught.value.final) == ("ScriptChanged", True)


def test_its_digest_is_known_of_the_data_and_in_the_lineage(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    where = written(tmp_path / "work", "pass")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "a.csv").write_text("x,y\n" + "".join(f"{n},{n % 7}\n" for n in range(60)))
    spec = spec_of(str(tmp_path), script=SPEC.script, estimator=None)
    facts: Facts = fetch(spec, where)
    assert facts.script == facts.told().script == digest(b"pass")
    told = lineage(spec, facts, "", "")
    assert (told["script"], told["script_digest"]) == ("train.py of ConfigMap train-script", digest(b"pass"))
    assert "script" not in lineage(spec_of(), facts_of(), "", "")


def test_a_script_that_an_earlier_run_left_is_gone(tmp_path: Path) -> None:
    where = written(tmp_path, "pass")
    fetch_script(SPEC, where)
    assert fetch_script(spec_of(), where) == ""
    with pytest.raises(StageError, match="run the fetch stage first"):
        run_script(SPEC, where, [])


def test_whoever_ends_the_stage_ends_the_script(tmp_path: Path) -> None:
    where = written(tmp_path, "import os, signal, time\nos.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(60)\n")
    fetch_script(SPEC, where)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(StageError, match="ended by SIGTERM"):
        run_script(SPEC, where, [])
    assert signal.getsignal(signal.SIGTERM) == before
