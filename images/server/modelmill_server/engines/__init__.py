"""What computes predictions: one module for each format, imported only when an artifact has that format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from modelmill.artifacts import ArtifactInvalid, check_model
from modelmill.contracts.artifact import Tensor
from modelmill_server.engines.engine import Engine, unloadable
from modelmill_server.failure import StartError
from modelmill_server.queries.columns import Feature

__all__ = ["Engine", "load_engine"]


def load_engine(
    format_: str,
    path: Path,
    features: tuple[Feature, ...],
    outputs: Sequence[Tensor],
    threads: int,
    *,
    trusted: tuple[str, ...] = (),
    allow_python: bool = False,
) -> Engine:
    """Load the model file.

    trusted: types that a skops file may hold beside `SKOPS_TRUSTED`. allow_python: the format `python` may be executed.
    Raises StartError (ModelLoadFailed), with the library's own words when the library failed.
    """
    # Read once, by the first library that brings OpenMP or BLAS. A waiting thread that spins burns the CPU limit of the pod.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, str(threads))
    # onnxruntime else collects events about sessions in the home, and sends them where it can.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        check_model(path, format_)
        return _load(format_, path, features, outputs, threads, trusted, allow_python)
    except StartError:
        raise
    except ArtifactInvalid as error:
        raise unloadable(str(error)) from None
    except (Exception, SystemExit) as error:  # a model file can break its library in any way, and a predictor may exit
        raise unloadable(f"{path.name}: {type(error).__name__}: {error}"[:1500]) from error


def _load(
    format_: str,
    path: Path,
    features: tuple[Feature, ...],
    outputs: Sequence[Tensor],
    threads: int,
    trusted: tuple[str, ...],
    allow_python: bool,
) -> Engine:
    if format_ == "onnx":
        from modelmill_server.engines.onnx import OnnxEngine

        return OnnxEngine(path, features, outputs, threads)
    if format_ == "skops":
        from modelmill_server.engines.skops import SkopsEngine

        return SkopsEngine(path, features, outputs, threads, trusted)
    if format_ == "xgboost":
        from modelmill_server.engines.xgboost import XGBoostEngine

        return XGBoostEngine(path, features, outputs, threads)
    if format_ == "lightgbm":
        from modelmill_server.engines.lightgbm import LightGBMEngine

        return LightGBMEngine(path, features, outputs, threads)
    if format_ == "python":
        from modelmill_server.engines.python import PythonEngine

        return PythonEngine(path, features, outputs, threads, allowed=allow_python)
    raise unloadable(f"there is no engine for the format {format_!r}")
