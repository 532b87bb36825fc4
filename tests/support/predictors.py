"""Artifacts whose model is a few lines of Python: they can do what a hostile file makes a library do."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent

from hack.artifacts import write_manifest
from modelmill.contracts.artifact import FeatureProfile, Golden, Profile, Signature, Tensor, canonical

DOUBLED = 'return {"predict": columns["x"] * 2}'


def write_predictor(
    folder: Path, *, load: str = "pass", predict: str = DOUBLED, before: str = "", edge: float | None = None
) -> Path:
    """Write an artifact of the format `python` and return its folder: the numbers x become 2 x.

    before, load, predict: lines of the module, of its constructor, and of `predict`, which have os, time and ctypes.
    edge: parts the predictions into two bins; without one they are in a single bin.
    """
    folder.mkdir()
    body = f"import ctypes, os, pathlib, signal, time\n{dedent(before)}\n\nclass Predictor:\n"
    for head, lines in (("__init__(self, folder)", load), ("predict(self, columns)", predict)):
        body += indent(f"def {head}:\n{indent(dedent(lines).strip(), '    ')}\n", "    ")
    (folder / "predictor.py").write_text(body)
    number = FeatureProfile("numeric", (1.0,))
    predicted = number if edge is None else FeatureProfile("numeric", (0.5, 0.5), edges=(edge,))
    (folder / "profile.json").write_bytes(canonical(Profile({"x": number}, predicted, 1)))
    (folder / "golden.json").write_bytes(canonical(Golden({"x": [1.0]}, {"predict": [2.0]})))
    tensor = Tensor("x", "FP64", (-1,))
    write_manifest(folder, "python", Signature("regression", (tensor,), (Tensor("predict", "FP64", (-1,)),)))
    return folder
