"""Our three kinds as the API server names them."""

from __future__ import annotations

from typing import Final

from modelmill.api.base import VERSION
from modelmill.kube.labels import GROUP
from modelmill.kube.objects import Resource

TRAINING_JOBS: Final = Resource(GROUP, VERSION, "trainingjobs", "TrainingJob")
MODEL_VERSIONS: Final = Resource(GROUP, VERSION, "modelversions", "ModelVersion")
INFERENCE_SERVICES: Final = Resource(GROUP, VERSION, "inferenceservices", "InferenceService")
