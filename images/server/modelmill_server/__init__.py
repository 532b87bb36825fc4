"""The model server: one artifact folder served over the Open Inference Protocol V2, V1 and MLflow's scoring protocol."""

from __future__ import annotations

__version__ = "0.1.0"
