"""Predictors: Python code that an artifact brings with it. It can do whatever the server's process can."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.engine import unloadable
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import BOOL, INT, TEXT, Column, Feature

CLASS = "Predictor"
MODULE = "modelmill_predictor"
# Kinds of numpy types that an output may have, by what its datatype starts with.
KINDS = {"FP": "fiu", "INT": "iu", "UINT": "iu", "BOOL": "b", "BYTES": "OUT"}


class PythonEngine:
    """An instance of the class `Predictor` in predictor.py. The folder must have been verified."""

    def __init__(
        self,
        path: Path,
        features: tuple[Feature, ...],
        outputs: Sequence[Tensor],
        threads: int,
        *,
        allowed: bool = False,
    ) -> None:
        if not allowed:
            raise StartError(
                "ConfigInvalid",
                f"{path.name} is Python code, which could do whatever this server can: it is executed only where "
                "MODELMILL_ALLOW_PYTHON=1 is set, by somebody who trusts whoever publishes models",
            )
        threadpool_limits(threads, user_api="blas")  # numpy's was loaded before the threads were known
        self.name = f"python {sys.version_info.major}.{sys.version_info.minor}"
        self._features = features
        self._outputs = {tensor.name: tensor for tensor in outputs}
        made = getattr(_executed(path), CLASS, None)
        if not isinstance(made, type):
            raise unloadable(f"{path.name} has no class {CLASS}")
        if not callable(getattr(made, "predict", None)):
            raise unloadable(f"{path.name}: the class {CLASS} has no method predict")
        self._predictor: Any = made(path.parent)

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output. Raises ValueError, TypeError for an answer that differs from the signature."""
        rows = len(columns[0])
        given = {feature.name: _array(feature, column) for feature, column in zip(self._features, columns, strict=True)}
        try:
            answer = self._predictor.predict(given)
        except SystemExit as error:
            raise RuntimeError(f"{CLASS}.predict wanted to end the server with code {error.code}") from error
        if not isinstance(answer, dict):
            raise TypeError(f"{CLASS}.predict returned a {type(answer).__name__}: it must be a dict of arrays")
        return [_checked(answer, self._outputs[name], rows) for name in wanted]


def _executed(path: Path) -> ModuleType:
    """Return predictor.py as a module, compiled from the verified source; files beside it may be imported by name."""
    sys.dont_write_bytecode = True  # a cached file would be executed in place of a verified one at the next start
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.append(folder)  # last: nothing that is installed can be replaced
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module  # pickle and dataclasses look classes up by their module
    exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - an admin allowed it
    return module


def _array(feature: Feature, column: Column) -> Any:
    """Return a column of text as objects with None where missing, others as numbers with NaN where missing."""
    if feature.family == TEXT:
        return np.array(column, np.object_)
    if isinstance(column, np.ndarray):
        return column
    if feature.family in (INT, BOOL) and None not in column:
        return np.array(column, np.bool_ if feature.family == BOOL else feature.datatype.lower())
    return np.array(column, np.float64)


def _checked(answer: dict[Any, Any], tensor: Tensor, rows: int) -> Any:
    name = tensor.name
    if name not in answer:
        raise ValueError(f"{CLASS}.predict returned {', '.join(map(repr, answer)) or 'nothing'}: {name!r} is missing")
    array = np.asarray(answer[name])
    wanted = (rows, *tensor.shape[1:])
    if array.ndim != len(wanted) or any(size not in (-1, have) for size, have in zip(wanted, array.shape, strict=True)):
        raise ValueError(f"{CLASS}.predict returned {name!r} of shape {array.shape}: it must be {wanted}")
    kinds = next(kinds for start, kinds in KINDS.items() if tensor.datatype.startswith(start))
    if array.dtype.kind not in kinds:
        raise ValueError(
            f"{CLASS}.predict returned {name!r} of type {array.dtype}: the signature says {tensor.datatype}"
        )
    return array
