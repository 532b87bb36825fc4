"""LightGBM models in LightGBM's text format, model.txt, through its C interface.

Source: LightGBM 4, include/LightGBM/c_api.h; the last lines of a model file are written by its Python package.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.categories import Categories, Coder, require_count, require_names
from modelmill_server.engines.labels import Labels
from modelmill_server.engines.matrix import numbers
from modelmill_server.engines.native import load_library
from modelmill_server.queries.columns import Column, Feature

UNSEEN = np.nan  # LightGBM takes a category that training did not see for missing
ROWS_FOR_THREADS = 512
NORMAL, ALL_TREES, FLOAT64, ROW_MAJOR = 0, -1, 1, 1
UNNAMED = "Column_"  # + index: the names of features of an array


class LightGBMEngine:
    """A booster of trees. The input is float64, NaN where missing."""

    def __init__(self, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int) -> None:
        head = read_head(path)
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


@dataclass(slots=True)
class Head:
    """What a model file says about itself. outputs: numbers per row; classes: 0 for a regressor."""

    names: list[str] = field(default_factory=list)
    outputs: int = 1
    classes: int = 0
    categorical: list[int] = field(default_factory=list)
    stored: list[list[Any]] = field(default_factory=list)

    def categories(self) -> list[Categories]:
        """Return each feature's categories in the order of their codes, where the file holds them."""
        by_feature: list[Categories] = [None] * len(self.names)
        # Each categorical column of a data frame has its list; columns that were declared otherwise have none.
        if len(self.stored) == len(self.categorical):
            for place, values in zip(self.categorical, self.stored, strict=True):
                by_feature[place] = values
        return by_feature


def read_head(path: Path) -> Head:
    """Return what the lines beside the trees say. Raises ValueError when the file is no LightGBM model."""
    head, begun = Head(), False
    with path.open(encoding="utf-8") as stream:
        if stream.readline().strip() != "tree":
            raise ValueError("the file is no LightGBM model in text form")
        for line in stream:
            key, _, value = line.rstrip("\n").partition("=")
            begun = begun or key == "Tree"
            if begun:
                # Behind the trees a feature may be called as a line of the header is.
                key = ""
            if key == "feature_names":
                head.names = value.split(" ")
            elif key == "num_tree_per_iteration":
                head.outputs = int(value)
            elif key == "objective":
                objective = value.partition(" ")[0]
                head.classes = {"binary": 2}.get(objective, head.outputs if objective.startswith("multiclass") else 0)
            elif line.startswith("[categorical_feature: "):
                listed = line.strip()[len("[categorical_feature: ") : -1]
                head.categorical = [int(place) for place in listed.split(",") if place]
            elif line.startswith("pandas_categorical:"):
                head.stored = json.loads(line.partition(":")[2]) or []
    return head
