"""Artifacts as somebody writes them by hand: fitted models whose files are taken apart, changed and put together again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import skops.io
from sklearn.datasets import make_classification

ROOT = Path(__file__).resolve().parents[2]
WIDTH = 4
FILES = {"skops": "model.skops", "onnx": "model.onnx", "xgboost": "model.json", "lightgbm": "model.txt"}

# Load the file as an engine does, without any check, and answer rows with it, in a process that may not take the machine along.
RUNNER = """
import json, resource, sys
import numpy as np
form, width, paths = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (10 + len(paths), 10 + len(paths)))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
rows = np.random.default_rng(0).normal(size=(64, width)) * 2

def skops(path):
    import skops.io
    from modelmill.contracts.artifact import SKOPS_TRUSTED
    model = skops.io.load(path, trusted=list(SKOPS_TRUSTED))
    for name in ("predict", "predict_proba", "transform", "decision_function"):
        if hasattr(model, name):
            getattr(model, name)(rows if width else ["aa bb cc"] * 8)

def onnx(path):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    session.run(None, {item.name: rows.astype(np.float32) for item in session.get_inputs()})

def xgboost(path):
    from modelmill_server.engines.xgboost import Booster, Library
    booster = Booster(Library(), path, 1)
    settings = {"type": 0, "training": False, "iteration_begin": 0, "iteration_end": 0, "missing": float("nan"),
                "strict_shape": False, "cache_id": 0}
    booster.predict(rows.astype(np.float32), json.dumps(settings).encode())

def lightgbm(path):
    import lightgbm
    lightgbm.Booster(model_file=path).predict(rows, num_threads=1)

failed = 0
for path in paths:
    try:
        {"skops": skops, "onnx": onnx, "xgboost": xgboost, "lightgbm": lightgbm}[form](path)
    except Exception:
        failed += 1
sys.exit(min(failed, 100))
"""


@dataclass(frozen=True)
class Hostile:
    """A file that is refused. words: of the refusal. crashes: loading it without the check ends the process."""

    name: str
    form: str
    words: str
    write: Callable[[Path], None]
    crashes: bool = False
    width: int = WIDTH
    file: str = ""

    def make(self, folder: Path) -> Path:
        """Write the file into a folder and return it."""
        path = folder / (self.file or FILES[self.form])
        self.write(path)
        return path


class Table:
    """Collects hostile files of one format."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.cases: list[Hostile] = []

    def add(self, name: str, words: str, write: Callable[[Path], None], **more: Any) -> None:
        """Add a file."""
        self.cases.append(Hostile(f"{self.form}-{name}", self.form, words, write, **more))


def run_unchecked(form: str, paths: Sequence[Path], width: int = WIDTH) -> int:
    """Load files without any check and predict, in one process.

    Return its exit code: negative for a signal, else how many files raised an error.
    """
    environment = {
        "PYTHONPATH": f"{ROOT}/operator:{ROOT}/images/server",
        "PATH": "/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", RUNNER, form, str(width), *map(str, paths)]
    return subprocess.run(command, env=environment, capture_output=True, timeout=600, check=False).returncode


@cache
def data() -> tuple[Any, Any]:
    """Return rows of WIDTH features and labels of three classes."""
    return make_classification(
        120, WIDTH, n_informative=3, n_redundant=0, n_classes=3, n_clusters_per_class=1, random_state=0
    )


class SkopsFile:
    """The entries of a skops file, to be changed."""

    def __init__(self, model: Any) -> None:
        content = io.BytesIO()
        skops.io.dump(model, content)
        with ZipFile(content) as archive:
            self.entries = {name: archive.read(name) for name in archive.namelist()}
        self.schema = json.loads(self.entries.pop("schema.json"))

    def nodes(self, class_name: str) -> Iterator[dict[str, Any]]:
        """Yield the states of the objects of a class."""
        waiting: list[Any] = [self.schema]
        while waiting:
            state = waiting.pop(0)
            if isinstance(state, dict):
                if state.get("__class__") == class_name and "__loader__" in state:
                    yield state
                waiting.extend(state.values())
            elif isinstance(state, list):
                waiting.extend(state)

    def node(self, class_name: str) -> dict[str, Any]:
        """Return the state of the first object of a class."""
        return next(self.nodes(class_name))

    def attribute(self, class_name: str, *names: str | int) -> dict[str, Any]:
        """Return the state of an attribute, or of what it holds."""
        state: Any = self.node(class_name)["content"]
        for name in names:
            state = state["content"][name]
            if state.get("__loader__") == "ObjectNode":
                state = state["content"]
        return state  # type: ignore[no-any-return]

    def array(self, state: dict[str, Any]) -> Any:
        """Return a copy of the array that a state is."""
        return np.load(io.BytesIO(self.entries[state["file"]])).copy()

    def put(self, state: dict[str, Any], array: Any) -> None:
        """Replace the array that a state is."""
        content = io.BytesIO()
        np.save(content, array)
        self.entries[state["file"]] = content.getvalue()

    def write(self, path: Path) -> None:
        """Write the file."""
        with ZipFile(path, "w", ZIP_DEFLATED) as archive:
            for name, content in {**self.entries, "schema.json": json.dumps(self.schema).encode()}.items():
                archive.writestr(name, content)


def literal(value: Any) -> dict[str, Any]:
    """Return the state of a literal."""
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def say(state: dict[str, Any], value: Any) -> None:
    """Let a literal be another one; under its old id it would stand for the first with that id."""
    state.pop("__id__", None)
    state.update(literal(value))
