"""XGBoost models in XGBoost's own formats, model.ubj or model.json, through its C interface.

Source: XGBoost 3, include/xgboost/c_api.h, and the model schema doc/model.schema.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from modelmill.artifacts import heads
from modelmill.artifacts.heads import Categories, xgboost_categories
from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.categories import Coder, require_count, require_names
from modelmill_server.engines.engine import unloadable
from modelmill_server.engines.labels import Labels
from modelmill_server.engines.matrix import numbers
from modelmill_server.engines.native import load_library
from modelmill_server.queries.columns import Column, Feature

UNSEEN = None  # XGBoost refuses a category that training did not see, unless the model says that it is missing
ROWS_FOR_THREADS = 512  # below that, waking threads costs more than they bring
VALUE, MARGIN = 0, 1


class XGBoostEngine:
    """A booster of trees. The input is float32, NaN where missing.

    A stored `best_iteration` bounds the trees, as it does in XGBClassifier and XGBRegressor.
    """

    def __init__(self, path: Path, features: tuple[Feature, ...], outputs: Sequence[Tensor], threads: int) -> None:
        library = Library()
        booster = Booster(library, path, 1)
        self._single = booster
        self._threaded = Booster(library, path, threads) if threads > 1 else booster
        self.name = f"xgboost {library.version()}"
        learner = booster.configuration()["learner"]
        if learner["gradient_booster"]["name"] == "gblinear":
            raise unloadable(f"{path.name} holds a linear booster: only trees are served")
        objective = learner["objective"]["name"]
        require_count(path.name, features, booster.feature_count())
        require_names(path.name, features, booster.feature_texts("feature_name"))
        self._labels = Labels(path.name, outputs, _classes(objective, learner))
        types = booster.feature_texts("feature_type")
        categories = booster.categories(len(features)) if "c" in types else [None] * len(features)
        _require_ascii(path.name, features, categories)
        missing = booster.attribute(heads.UNSEEN) == heads.UNSEEN_MISSING
        self._coder = Coder(path.name, features, categories, np.nan if missing else UNSEEN)
        self._softmax = objective == "multi:softmax"  # its value is the label only
        best = booster.attribute("best_iteration")
        self._configuration = json.dumps(
            {
                "type": MARGIN if self._softmax else VALUE,
                "training": False,
                "iteration_begin": 0,
                "iteration_end": 0 if best is None else int(best) + 1,
                "missing": float("nan"),
                "strict_shape": False,
                "cache_id": 0,
            }
        ).encode()

    def run(self, columns: list[Column], wanted: tuple[str, ...]) -> list[Any]:
        """Return one array per wanted output."""
        rows = numbers(self._coder.coded(columns), np.float32)
        booster = self._single if len(rows) < ROWS_FOR_THREADS else self._threaded
        scores = booster.predict(rows, self._configuration)
        if self._softmax and self._labels.classifies:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return self._labels.outputs(scores, wanted)


def _classes(objective: str, learner: dict[str, Any]) -> int:
    if objective.startswith("multi:"):
        return int(learner["learner_model_param"]["num_class"])
    return 2 if objective in ("binary:logistic", "binary:hinge") else 0


def _require_ascii(file: str, features: tuple[Feature, ...], categories: Sequence[Categories]) -> None:
    """Raise StartError (ModelLoadFailed) for categories that XGBoost may have stored cut at the wrong places.

    Its Python package counted letters where bytes were meant. Source: dmlc/xgboost, pull request 12371.
    """
    for feature, known in zip(features, categories, strict=True):
        if known and not all(str(value).isascii() for value in known):
            raise unloadable(
                f"the categories of {feature.name!r} in {file} are not ASCII, and versions of XGBoost store such categories "
                "wrongly: give them ASCII names before training"
            )


class Library:
    """libxgboost."""

    def __init__(self) -> None:
        self._library = load_library("xgboost", "lib/libxgboost.so")
        self._library.XGBGetLastError.restype = ctypes.c_char_p

    def call(self, function: str, *arguments: Any) -> None:
        """Call a function. Raises RuntimeError with the first line of XGBoost's words."""
        if getattr(self._library, function)(*arguments):
            words = self._library.XGBGetLastError().decode("utf-8", "replace")
            raise RuntimeError(words.partition("Stack trace")[0].strip())

    def version(self) -> str:
        """Return the version of the library."""
        parts = [ctypes.c_int() for _ in range(3)]
        self._library.XGBoostVersion(*map(ctypes.byref, parts))
        return ".".join(str(part.value) for part in parts)


class Booster:
    """A loaded booster. Predictions may be made by several threads at once."""

    def __init__(self, library: Library, path: Path, threads: int) -> None:
        self._call = library.call
        self._handle = ctypes.c_void_p()
        self._call("XGBoosterCreate", None, ctypes.c_uint64(0), ctypes.byref(self._handle))
        self._call("XGBoosterLoadModel", self._handle, str(path).encode())
        self._call("XGBoosterSetParam", self._handle, b"nthread", str(threads).encode())
        self._proxies = threading.local()

    def predict(self, rows: Any, configuration: bytes) -> Any:
        """Return an array [rows] or [rows, outputs] for a C-contiguous float32 array [rows, features]."""
        place, _ = rows.__array_interface__["data"]
        interface = b'{"data":[%d,true],"typestr":"<f4","shape":[%d,%d],"version":3}' % (place, *rows.shape)
        shape, dimensions, values = (
            ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_uint64(), ctypes.POINTER(ctypes.c_float)(),
        )  # fmt: skip
        self._call(
            "XGBoosterPredictFromDense", self._handle, interface, configuration, self._proxy(),
            ctypes.byref(shape), ctypes.byref(dimensions), ctypes.byref(values),
        )  # fmt: skip
        sides = shape[: dimensions.value]
        # The values belong to XGBoost, and to the next prediction of this thread.
        return np.ctypeslib.as_array(values, sides).copy()

    def _proxy(self) -> ctypes.c_void_p:
        """Return what stands for the input, one for each thread: making it for a row takes longer than predicting the row."""
        proxy: ctypes.c_void_p | None = getattr(self._proxies, "handle", None)
        if proxy is None:
            proxy = self._proxies.handle = ctypes.c_void_p()
            self._call("XGProxyDMatrixCreate", ctypes.byref(proxy))
        return proxy

    def feature_count(self) -> int:
        """Return how many features a row has."""
        count = ctypes.c_uint64()
        self._call("XGBoosterGetNumFeature", self._handle, ctypes.byref(count))
        return count.value

    def feature_texts(self, field: str) -> list[str]:
        """Return `feature_name` or `feature_type` of every feature; nothing when training had none."""
        count, texts = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_char_p)()
        self._call("XGBoosterGetStrFeatureInfo", self._handle, field.encode(), ctypes.byref(count), ctypes.byref(texts))
        return [(texts[place] or b"").decode() for place in range(count.value)]

    def attribute(self, name: str) -> str | None:
        """Return an attribute that training stored."""
        value, there = ctypes.c_char_p(), ctypes.c_int()
        self._call("XGBoosterGetAttr", self._handle, name.encode(), ctypes.byref(value), ctypes.byref(there))
        return value.value.decode() if there.value and value.value is not None else None

    def configuration(self) -> dict[str, Any]:
        """Return objective, kind of booster and parameters."""
        size, text = ctypes.c_uint64(), ctypes.c_char_p()
        self._call("XGBoosterSaveJsonConfig", self._handle, ctypes.byref(size), ctypes.byref(text))
        configuration: dict[str, Any] = json.loads(text.value or b"{}")
        return configuration

    def categories(self, count: int) -> list[Categories]:
        """Return each feature's categories in the order of their codes; the file has them from XGBoost 3.1 on."""
        size, text = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_char)()
        self._call(
            "XGBoosterSaveModelToBuffer", self._handle, b'{"format":"json"}', ctypes.byref(size), ctypes.byref(text)
        )
        booster = msgspec.json.decode(ctypes.string_at(text, size.value), type=_Document).learner.gradient_booster
        model = booster.model or (booster.gbtree.model if booster.gbtree else None)
        stored = model.cats.enc if model and model.cats else []
        return (
            [xgboost_categories(one.values, one.offsets) for one in stored] if len(stored) == count else [None] * count
        )


class _Encoding(msgspec.Struct):
    """Numbers, or the signed bytes of UTF-8 texts with their ends in `offsets`."""

    values: list[int]
    offsets: list[int] | None = None


class _Encodings(msgspec.Struct):
    enc: list[_Encoding]


class _Model(msgspec.Struct):
    cats: _Encodings | None = None


class _Trees(msgspec.Struct):
    model: _Model


class _Gradient(msgspec.Struct):
    model: _Model | None = None
    gbtree: _Trees | None = None


class _Learner(msgspec.Struct):
    gradient_booster: _Gradient


class _Document(msgspec.Struct):
    """The part of a saved model that holds categories."""

    learner: _Learner
