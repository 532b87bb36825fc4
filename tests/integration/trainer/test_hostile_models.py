"""What a model can do to the stage that evaluates it: end its own process, with words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LinearRegression

from modelmill.contracts import names, result, stage
from modelmill.contracts.artifact import canonical, digest
from modelmill_trainer import watched
from modelmill_trainer.artifact_folder import fetch_artifact
from modelmill_trainer.evaluate import evaluate
from modelmill_trainer.failure import StageError
from modelmill_trainer.fetch import fetch
from modelmill_trainer.folders import Folders, folders
from modelmill_trainer.phases import Phase
from modelmill_trainer.publish import publish
from tests.support.planted import planted
from tests.unit.trainer.runs import spec_of

CANARY = "canary-7f3a9c51"


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> tuple[stage.StageSpec, Folders]:
    """Return a run up to its train stage, which left a line; its store is a folder."""
    root = tmp_path_factory.mktemp("run")
    (root / "rows").mkdir()
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=60), "z": random.normal(size=60)})
    frame.assign(y=3 * frame["x"] - frame["z"]).to_csv(root / "rows" / "a.csv", index=False)
    where = folders(root / "work")
    where.output.mkdir(parents=True)
    spec = spec_of(str(root), estimator=None)
    fetch(spec, where)
    train = pd.read_csv(where.train("csv"))
    skops.io.dump(LinearRegression().fit(train[["x", "z"]], train["y"]), where.output / "model.skops")
    return spec, where


CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "a wild pointer": ("ctypes.string_at(0)", "ModelInvalid", "its process with SIGSEGV while it predicted 20 rows", {}),
    "an abort": ("os.abort()", "ModelInvalid", "SIGABRT while it predicted 20 rows", {}),
    "an endless loop": (
        "while True: pass",
        "ModelInvalid",
        "took longer than 2 s while it predicted 20 rows",
        {"seconds": {Phase.FIRST: 2}},
    ),
    "a loop that holds the interpreter": (
        "sum(iter(int, 1))",
        "ModelInvalid",
        "took longer than 2 s",
        {"seconds": {Phase.FIRST: 2}},
    ),
    "a loop at a later row": (
        "if calls == 2: time.sleep(999)",
        "ModelInvalid",
        "longer than 2 s while it predicted the rows to measure on",
        {"seconds": {Phase.HOLDOUT: 2}, "model": "SklearnModel"},
    ),
    "a model that crashes": (
        "ctypes.string_at(0)",
        "ModelInvalid",
        "the model ended its process with SIGSEGV while it predicted 20 rows",
        {"model": "SklearnModel"},
    ),
    "a model that needs 10 GB": (
        "x = bytearray(10 << 30)",
        "OutOfMemory",
        "to evaluate the model takes more than the 2048 MiB that there are",
        {"model": "SklearnModel"},
    ),
    "a result of its own": (
        "(asked[0].into / 'result.json').write_text('{}'); os._exit(0)", "ModelInvalid", "no valid result", {},
    ),
    "a reason of its own": (
        "import json; (asked[0].into / 'result.json').write_text("
        "json.dumps({'v': 1, 'outcome': 'Failed', 'reason': 'no\\nword'})); os._exit(3)",
        "ModelInvalid",
        "it gives no reason",
        {},
    ),
    "the end": ("os._exit(0)", "ModelInvalid", "left no valid result", {}),
    "an end with a code": ("os._exit(7)", "ModelInvalid", "with exit code 7", {}),
    "an end like that of a stage": ("os._exit(1)", "ModelInvalid", "left no valid result", {}),
    "10 GB": ("x = bytearray(10 << 30)", "OutOfMemory", "more than the 2048 MiB that there are", {}),
    "ever more memory": (
        "x = []\nwhile True: x.append(bytearray(1 << 24))", "OutOfMemory", "resources.limits.memory", {},
    ),
    "memory outside of Python": (
        "x = ctypes.CDLL(None).malloc\nx.restype = ctypes.c_void_p\nctypes.memset(x(ctypes.c_size_t(10 << 30)), 1, 1)",
        "ModelInvalid",
        "SIGSEGV",
        {},
    ),
    "a file of 100 GB": (
        "with open(asked[0].into / 'x', 'wb') as f: f.seek(100 << 30); f.write(b'x')",
        "ModelInvalid",
        "File too large",
        {},
    ),
    "more processes": ("while True: os.fork()", "ModelInvalid", "PermissionError", {}),
    "another program": ("os.execv('/bin/sh', ['sh', '-c', 'true'])", "ModelInvalid", "PermissionError", {}),
    "the network": ("socket.create_connection(('127.0.0.1', 80))", "ModelInvalid", "not permitted", {}),
    "the stage that watches": ("os.kill(os.getppid(), signal.SIGKILL)", "ModelInvalid", "not permitted", {}),
    "the stage's limits": (
        "resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (0, 0))",
        "ModelInvalid",
        "not permitted",
        {},
    ),
    "a kill": ("os.kill(os.getpid(), signal.SIGKILL)", "OutOfMemory", "as is done when memory runs out", {}),
    "a steering error": ("raise ValueError('a\\nb\\x1b[31m')", "ModelInvalid", "ValueError: a b", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_model_is_an_outcome_with_words(
    fetched: tuple[stage.StageSpec, Folders], tmp_path: Path, name: str
) -> None:
    code, reason, said, changes = CASES[name]
    with pytest.raises(StageError) as caught:
        evaluate(*fetched, tmp_path / "evaluated", planted(tmp_path, code, **changes))
    assert (caught.value.reason, caught.value.exit_code) == (reason, names.EXIT_FINAL)
    assert said in " ".join(caught.value.messages)
    assert len(result.encode(caught.value.result())) < result.MAX_BYTES


def test_what_a_model_prints_is_bounded_and_steers_no_terminal(
    fetched: tuple[stage.StageSpec, Folders], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "if calls == 1:\n    for _ in range(1 << 8): os.write(1, b'\\x1b[2J' * (1 << 18) + b'\\n')"  # 256 MiB
    evaluator = planted(tmp_path, code, model="SklearnModel", seconds={Phase.FIRST: 600})
    ending = evaluate(*fetched, tmp_path / "evaluated", evaluator)
    out = capfd.readouterr().out
    assert ending.outcome == result.PUBLISHED
    assert len(out) < watched.MAX_SAID + 10_000
    assert "\x1b" not in out
    assert "bytes more that the evaluation printed are left out" in out


def test_a_conversion_that_crashes_leaves_the_model_as_it_is(
    fetched: tuple[stage.StageSpec, Folders], tmp_path: Path
) -> None:
    ending = evaluate(*fetched, tmp_path / "evaluated", planted(tmp_path, "ctypes.string_at(0)", model="OnnxModel"))
    assert ending.artifact is not None
    assert (ending.outcome, ending.artifact.format) == (result.PUBLISHED, "skops")
    manifest = json.loads((tmp_path / "evaluated" / "artifact" / names.MANIFEST_FILE).read_bytes())
    assert "SIGSEGV while it was converted" in manifest["lineage"]["serving"]


def test_folders_may_be_named_from_where_one_is(
    fetched: tuple[stage.StageSpec, Folders], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, where = fetched
    monkeypatch.chdir(where.input.parents[1])
    code = "print('hold-out', asked[0].folders.held_out('csv').is_file())\nraise ValueError(str(asked[0].into))"
    with pytest.raises(StageError, match="/evaluated"):
        evaluate(spec, folders(Path("work")), Path("evaluated"), planted(tmp_path, code))


LOOK = """
found = []
places = ["/proc/self/environ", f"/proc/{os.getppid()}/environ", f"/proc/{os.getppid()}/mem", TOKEN]
places += [f"/proc/{pid}/{what}" for pid in os.listdir("/proc") if pid.isdecimal() for what in ("environ", "cmdline")]
for place in dict.fromkeys(places):
    try:
        found.append(open(place, "rb").read(1 << 20))
    except OSError:
        pass
found.append(repr(dict(os.environ)).encode())
for text in found[:50]:
    os.write(1, text[:2000] + b"\\n")
raise ValueError(b" ".join(found))
"""
STAGE = """
import json, os, sys
from pathlib import Path
from modelmill.contracts import result, stage
from modelmill.store.keys import hide_keys
from modelmill_trainer import watched
from modelmill_trainer.artifact_folder import fetch_artifact
from modelmill_trainer.evaluate import Evaluator, evaluate
from modelmill_trainer.failure import explained, leave
from modelmill_trainer.folders import folders

work, into, program = map(Path, sys.argv[1:])
hide_keys()
assert os.environ["AWS_SECRET_ACCESS_KEY"]
try:
    evaluate(stage.decode(os.environ["MODELMILL_STAGE"]), folders(work), into, Evaluator([sys.executable, "-P", program]))
except Exception as error:
    leave(result.encode(explained(error, "evaluate").result()))
"""


def test_no_key_of_the_stage_is_within_reach_of_a_model(
    fetched: tuple[stage.StageSpec, Folders], tmp_path: Path
) -> None:
    """Run where the keys are in the stage's environment, as without a cluster; the process has no privileges, as in a pod."""
    spec, where = fetched
    evaluator = planted(tmp_path, LOOK.replace("TOKEN", "'/nonexistent/token'"))
    environment = watched.bare_environment() | {
        names.ENV_SECRET_KEY: CANARY,
        names.ENV_STAGE: stage.encode(spec),
        names.ENV_TERMINATION_PATH: str(tmp_path / "ending"),
    }
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, "-c", STAGE, where.input.parent, tmp_path / "evaluated", evaluator.command[-1]],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    ending = (tmp_path / "ending").read_text()
    assert json.loads(ending)["reason"] == "ModelInvalid", done
    assert "nonexistent" in done.stdout  # it saw an environment: its own
    left = b"".join(path.read_bytes() for path in (tmp_path / "evaluated").rglob("*") if path.is_file())
    for output in (done.stdout, done.stderr, ending, left.decode(errors="replace")):
        assert CANARY not in output


ONNX = "model.onnx"
FORGED: dict[str, tuple[str, str]] = {
    "another model": ("manifest['model'] = 'theirs'", "its model"),
    "another version": ("manifest['version'] = 'fuel-99'", "its version"),
    "another file": ("(artifact / 'x.so').touch()", "no file 'x.so'"),
    "a name with a line": ("(artifact / 'a\\nb').touch()", r"no file 'a\nb'"),
    "a link": ("rows.unlink(); rows.symlink_to('/etc/passwd')", "is a link"),
    "a pipe": ("rows.unlink(); os.mkfifo(rows)", "is no file"),
    "a folder": ("rows.unlink(); rows.mkdir()", "is no file"),
    "other content": ("(artifact / 'golden.json').write_bytes(b'{}')", "its files are not those of its manifest"),
    "a manifest without end": ("told.write_bytes(b'[' * 100_000)", "cannot be published"),
    "a manifest of another kind": ('told.write_bytes(b\'{"v":1,"signature":[]}\')', "cannot be published"),
    "a huge manifest": ("os.truncate(told, 1 << 40)", "bytes: at most"),
    "fields of its own": ("manifest['more'] = 1", "has fields"),
    "other metrics": ("manifest['metrics'] = {'r2': 1.0}", "its metrics"),
    "no model": (
        "(artifact / ONNX).unlink(); manifest['files'] = [f for f in manifest['files'] if f['name'] != ONNX]",
        "no file of",
    ),
    "an outcome that makes no artifact": (
        "result.write_text(result.read_text().replace('\"Published\"', '\"Unchanged\"'))",
        "outcome 'Unchanged'",
    ),
    "another champion": (
        "told = json.loads(result.read_text()) | {'champion': {'name': 'theirs'}}; result.write_text(json.dumps(told))",
        "its champion",
    ),
    "a huge result": ("result.write_bytes(b' ' * 5000)", "left no valid result"),
    "a result that is a link": ("result.unlink(); result.symlink_to('/proc/self/environ')", "is a link"),
}


@pytest.fixture(scope="module")
def evaluated(fetched: tuple[stage.StageSpec, Folders], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that a true evaluation left, by a process of its own."""
    into: Path = tmp_path_factory.mktemp("evaluated")
    evaluate(*fetched, into)
    return into


@pytest.mark.parametrize("name", FORGED)
def test_what_a_process_forged_is_not_published(
    fetched: tuple[stage.StageSpec, Folders], evaluated: Path, tmp_path: Path, name: str
) -> None:
    code, said = FORGED[name]
    spec, where = fetched
    folder = tmp_path / "evaluated"
    shutil.copytree(evaluated, folder)
    artifact = folder / "artifact"
    manifest = json.loads((artifact / names.MANIFEST_FILE).read_bytes())
    before = json.dumps(manifest)
    told, rows, ending_file = artifact / names.MANIFEST_FILE, artifact / names.ROWS_FILE, folder / "result.json"
    places = {"told": told, "rows": rows, "result": ending_file, "artifact": artifact}
    exec(code, {"os": os, "json": json, "ONNX": ONNX, "manifest": manifest, **places})
    if json.dumps(manifest) != before:
        told.write_bytes(canonical(manifest))
        ending = json.loads(ending_file.read_bytes())
        ending["artifact"]["digest"] = digest(canonical(manifest))
        ending["artifact"]["bytes"] = sum(path.stat().st_size for path in artifact.iterdir())
        ending_file.write_text(json.dumps(ending))
    spec = replace(spec, store=stage.Store(f"file://{tmp_path}/models"))
    with pytest.raises(StageError) as caught:
        publish(spec, replace(where, evaluated=folder))
    assert caught.value.reason == "ModelInvalid"
    assert said in " ".join(caught.value.messages)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ctypes.string_at(0)", "the champion ended its process with SIGSEGV"),
        ("time.sleep(999)", "the champion took longer than 2 s"),
    ],
)
def test_a_champion_that_crashes_leaves_the_challenger_without_comparison(
    fetched: tuple[stage.StageSpec, Folders], evaluated: Path, tmp_path: Path, code: str, said: str
) -> None:
    spec, where = fetched
    spec = replace(spec, store=stage.Store(f"file://{tmp_path}/models"), gates=(stage.Gate(min_improvement=-1.0),))
    published = publish(spec, replace(where, evaluated=evaluated)).artifact
    assert published is not None
    champion = stage.Champion("fuel-2", published.uri, published.digest)
    where = replace(where, input=tmp_path / "input")
    shutil.copytree(fetched[1].input, where.input)
    fetch_artifact(champion, spec.store, where.champion)
    # The challenger is run as scikit-learn has it, the champion as ONNX; the conversion is compared later.
    hostile = planted(tmp_path, f"if not asked[0].skipped: {code}", model="OnnxModel", seconds={Phase.CHAMPION: 2})
    ending = evaluate(replace(spec, champion=champion), where, tmp_path / "evaluated", hostile)
    assert ending.champion is not None
    assert ending.champion.metrics == {}
    assert said in ending.champion.message
    assert any("the champion fuel-2 is not compared" in note for note in ending.notes)
    assert ending.outcome == result.GATE_FAILED  # what cannot be compared fails the gate that compares
    assert ending.artifact is not None
    assert ending.artifact.format == "onnx"


def test_stages_of_their_own_publish_what_was_evaluated(
    fetched: tuple[stage.StageSpec, Folders], evaluated: Path, tmp_path: Path
) -> None:
    spec, where = fetched
    spec = replace(spec, store=stage.Store(f"file://{tmp_path}/models"))
    ending = publish(spec, Folders(tmp_path, where.holdout, tmp_path, tmp_path, evaluated))  # nothing else is mounted
    assert ending.artifact is not None
    folder = Path(ending.artifact.uri.removeprefix("file://"))
    assert {path.name for path in folder.iterdir()} == {path.name for path in (evaluated / "artifact").iterdir()}
