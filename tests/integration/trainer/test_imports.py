"""Foreign models become artifacts that the server serves with the answers of the library that made them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from modelmill.contracts import imports, names, result
from modelmill.contracts.artifact import digest, parse_manifest
from modelmill_trainer import cli
from tests.support import foreign_models
from tests.support.asked_models import asked_of
from tests.support.foreign_models import MODELS, Made
from tests.support.model_server import Launcher


def import_it(spec: imports.ImportSpec, told: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, result.StageResult]:
    monkeypatch.setenv(names.ENV_IMPORT, imports.encode(spec))
    monkeypatch.setenv(names.ENV_TERMINATION_PATH, str(told))
    code = cli.main([names.STAGE_IMPORT])
    return code, result.decode(told.read_text())


@pytest.mark.parametrize("name", MODELS)
def test_it_is_served_with_the_librarys_own_answers(
    name: str, tmp_path: Path, launch: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Made = MODELS[name](tmp_path)
    spec = foreign_models.asked(f"file://{made.path}", made.format, tmp_path / "store")
    code, told = import_it(spec, tmp_path / "told", monkeypatch)
    assert (code, told.outcome) == (0, result.IMPORTED), told
    assert told.artifact is not None
    folder = Path(told.artifact.uri.removeprefix("file://"))
    assert digest((folder / names.MANIFEST_FILE).read_bytes()) == told.artifact.digest
    manifest = parse_manifest((folder / names.MANIFEST_FILE).read_bytes())
    assert manifest.format == told.artifact.format == made.served
    assert [tensor.name for tensor in manifest.signature.inputs] == list(made.rows.columns)
    assert told.artifact.bytes == sum(path.stat().st_size for path in folder.iterdir())
    server = launch(folder)
    rows = made.rows.head(30)
    answers = asked_of(server, rows)
    for output, wanted in made.answers.items():
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(answers[output].reshape(wanted[:30].shape), wanted[:30], rtol=1e-5, atol=1e-6)
        else:
            assert answers[output].ravel().tolist() == wanted[:30].tolist()
    again, once_more = import_it(spec, tmp_path / "again", monkeypatch)
    assert (again, once_more) == (0, told), "what is repeated is the same artifact"
    assert json.loads((folder / names.PROFILE_FILE).read_bytes())["features"] == {}


def test_a_booster_whose_trees_go_in_circles_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = foreign_models.xgboost_json(tmp_path)
    document = json.loads(made.path.read_text())
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["left_children"][1] = 0
    made.path.write_text(json.dumps(document))
    spec = foreign_models.asked(f"file://{made.path}", "xgboost", tmp_path / "store")
    code, told = import_it(spec, tmp_path / "told", monkeypatch)
    assert (code, told.reason) == (names.EXIT_FINAL, "ModelInvalid")
    assert "tree 0" in told.reasons[0]
