"""LightGBM models in LightGBM's text format, model.txt, through its C interface.

Source: LightGBM 4, include/LightGBM/c_api.h; the last lines of a model file are written by its Python package.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from modelmill.artifacts.heads import UNNAMED, read_lightgbm
from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.categories import Coder, require_count, require_names
from modelmill_server.engines.labels import Labels
from modelmill_server.engines.matrix import numbers
from modelmill_server.engines.native import load_library
from modelmill_server.queries.columns import Column, Feature

UNSEEN = np.nan  # LightGBM takes a category that training did not see for missing
ROWS_FOR_THREADS = 512
NORMAL, ALL_TREES, FLOAT64, ROW_MAJOR = 0, -1, 1, 1


class LightGBMEngine:
    """A booster of trees. The input is float64, NaN where missing."""

    def __init__(self, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int) -> None:
        head = read_lightgbm(path)
        require_count(path.name, features, len(head.names))
        if head.names != [f"{UNNAMED}{index}" for index in range(len(head.names))]:
            require_names(path.name, features, head.names)
        self._labels = Labels(path.name, outputs, head.classes)
        self._coder = Coder(path.name, features, head.categories(), UNSEEN)
        self._outputs = head.outputs
        self._width = len(features)
        self._threads = f"num_threads={threads}".encode()
        self._library = load_library("lightgbm", "lib/lib_lightgbm.so")
        self._library.LGBM_GetLastError.restype = ctypes.c_char_p
        self.name = f"lightgbm {version('lightgbm')}"
        self._handle, self._fast, iterations = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_int()
        self._call(
            "LGBM_BoosterCreateFromModelfile", str(path).encode(), ctypes.byref(iterations), ctypes.byref(self._handle)
        )
        self._call(
            "LGBM_BoosterPredictForMatSingleRowFastInit", self._handle, NORMAL, 0, ALL_TREES, FLOAT64, self._width,
            b"num_threads=1", ctypes.byref(self._fast),
        )  # fmt: skip

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output."""
        rows = numbers(self._coder.coded(columns), np.float64)
        scores, written = np.empty(len(rows) * self._outputs), ctypes.c_int64()
        if len(rows) == 1:
            self._call(
                "LGBM_BoosterPredictForMatSingleRowFast",
                self._fast,
                _place(rows),
                ctypes.byref(written),
                _place(scores),
            )
        else:
            self._call(
                "LGBM_BoosterPredictForMat", self._handle, _place(rows), FLOAT64, len(rows), self._width, ROW_MAJOR,
                NORMAL, 0, ALL_TREES, self._threads if len(rows) >= ROWS_FOR_THREADS else b"num_threads=1",
                ctypes.byref(written), _place(scores),
            )  # fmt: skip
        return self._labels.outputs(scores if self._outputs == 1 else scores.reshape(len(rows), -1), wanted)

    def _call(self, function: str, *arguments: Any) -> None:
        if getattr(self._library, function)(*arguments):
            raise RuntimeError(self._library.LGBM_GetLastError().decode("utf-8", "replace"))


def _place(array: Any) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.__array_interface__["data"][0])
