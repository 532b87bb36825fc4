"""Shared libraries of Python packages, used through their C interfaces.

The packages around them import pandas, scipy and scikit-learn, which costs more time at the start and more memory than the rest
of the server, and their Python layers cost several times what a prediction of one row does.
"""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path

from modelmill_server.engines.engine import unloadable


def load_library(package: str, file: str) -> ctypes.CDLL:
    """Load `file` of an installed package without importing it. Raises StartError (ModelLoadFailed), OSError."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise unloadable(f"the package {package} is not installed")
    return ctypes.CDLL(str(Path(spec.origin).parent / file))
