"""Good files with some of their bytes changed: they are refused, or loading and predicting ends without a signal."""

from __future__ import annotations

import os
import random
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest

from modelmill.artifacts import ArtifactInvalid, check_model
from tests.support.hostile import SkopsFile, run_unchecked
from tests.unit.artifacts.hostile_boosters import booster, text
from tests.unit.artifacts.hostile_onnx import tree
from tests.unit.artifacts.hostile_skops import fitted

MUTATIONS = int(os.environ.get("MODELMILL_ARTIFACT_MUTATIONS", "40"))  # of each model; `make proof` says more


def _skops(model: str, chance: random.Random, path: Path) -> None:
    """Change bytes within the arrays, so that the archive's checksums hold."""
    file = SkopsFile(fitted(model))
    name = chance.choice(sorted(file.entries))
    file.entries[name] = _mutated(file.entries[name], chance)
    file.write(path)


def _mutated(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        place = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place] = chance.randrange(256)
        elif kind == 2:
            changed[place : place + 8] = chance.choice((b"\xff" * 8, b"\x00" * 8, b"\x7f" * 8, b"99999999"))
        else:
            del changed[place : place + chance.choice((1, 4, 8))]
    return bytes(changed)


GOOD = {
    "xgboost": ("model.json", lambda: bytes(booster("categories").save_raw("json"))),
    "xgboost-ubj": ("model.ubj", lambda: bytes(booster("trees").save_raw("ubj"))),
    "lightgbm": ("model.txt", lambda: text("categories").encode()),
    "onnx": ("model.onnx", lambda: tree().SerializeToString()),
}
SKOPS = ("tree", "histogram", "kd", "svc", "boosted", "onehot", "splines", "centers", "brute")


@pytest.mark.parametrize("kind", [*GOOD, "skops"])
def test_changed_files_are_refused_or_harmless(kind: str, tmp_path: Path) -> None:
    chance = random.Random(f"{kind} {os.environ.get('MODELMILL_FUZZ_SEED', '0')}")
    form, passed = kind.partition("-")[0], []
    for turn in range(MUTATIONS):
        for model in SKOPS if kind == "skops" else (kind,):
            path = tmp_path / f"{turn}-{model}-{GOOD[kind][0] if kind in GOOD else 'model.skops'}"
            if kind == "skops":
                _skops(model, chance, path)
            else:
                path.write_bytes(_mutated(GOOD[kind][1](), chance))
            try:
                check_model(path, form)
            except ArtifactInvalid:
                path.unlink()
            else:
                passed.append(path)
    assert run_unchecked(form, passed) >= 0, [path.name for path in passed]


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    SkopsFile(fitted("tree")).write(path)
    with ZipFile(path) as archive, ZipFile(tmp_path / "stored.skops", "w", ZIP_STORED) as stored:
        for name in archive.namelist():
            stored.writestr(name, archive.read(name))
    check_model(path, "skops")
    check_model(tmp_path / "stored.skops", "skops")
