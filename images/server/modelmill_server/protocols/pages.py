"""What the protocols say about the server and its one model: health, metadata, configuration, index, statistics."""

from __future__ import annotations

from typing import Any

from modelmill.contracts.artifact import Tensor
from modelmill_server import __version__
from modelmill_server.core.model import ServedModel
from modelmill_server.core.service import ModelService
from modelmill_server.http.messages import Answer, Request
from modelmill_server.protocols.routes import in_json, in_text
from modelmill_server.telemetry.counters import Monitor
from modelmill_server.telemetry.exposition import Exposition

SERVER_NAME = "modelmill-server"
EXTENSIONS = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
# The protocol's list of platforms has none for scikit-learn; KServe and MLServer leave it empty.
PLATFORMS = {"onnx": "onnx_onnxv1", "xgboost": "xgboost_ubj", "lightgbm": "lightgbm_txt", "skops": "sklearn_skops"}
BACKENDS = {"onnx": "onnxruntime"}


def server_metadata() -> dict[str, Any]:
    """Return the answer of `GET /v2`."""
    return {"name": SERVER_NAME, "version": __version__, "extensions": EXTENSIONS}


class ServerPages:
    """The pages that need no model. exposition: what `/metrics` shows; it is empty until a model is loaded."""

    def __init__(self, service: ModelService, exposition: Exposition) -> None:
        self._service = service
        self._exposition = exposition

    def alive(self, _: Request) -> Answer:
        """Answer `GET /` of V1."""
        return in_json(200, {"status": "alive"})

    def server(self, _: Request) -> Answer:
        """Answer `GET /v2`."""
        return in_json(200, server_metadata())

    def live(self, _: Request) -> Answer:
        """Answer that the process answers."""
        return in_json(200, {"live": True})

    def ready(self, _: Request) -> Answer:
        """Answer whether the model may be asked, or why not."""
        why_not = self._service.why_not
        if not why_not:
            return in_json(200, {"live": True, "ready": True})
        return in_json(503, {"live": True, "ready": False, "error": why_not})

    def version(self, _: Request) -> Answer:
        """Answer the version of the server."""
        return in_text(__version__.encode(), "text/plain")

    async def metrics(self, request: Request) -> Answer:
        """Answer the metrics in the form that the scraper prefers."""
        return in_text(*await self._exposition.render(request.headers.get("accept", "")))


class ModelPages:
    """Documents about one model."""

    def __init__(self, model: ServedModel, monitor: Monitor) -> None:
        self._model = model
        self._monitor = monitor
        self._format = model.artifact.manifest.format
        self._signature = model.artifact.manifest.signature
        self.platform = PLATFORMS.get(self._format, self._format)

    def metadata(self) -> dict[str, Any]:
        """Return the model metadata of V2; `parameters` says which engine serves."""
        model, signature = self._model, self._signature
        return {
            "name": model.name,
            "versions": [model.version],
            "platform": self.platform,
            "inputs": [_tensor(tensor) for tensor in signature.inputs],
            "outputs": [_tensor(tensor) for tensor in signature.outputs],
            "parameters": {
                "engine": model.engine.name,
                "digest": model.artifact.digest,
                "task": signature.task,
                "nullable": ",".join(tensor.name for tensor in signature.inputs if tensor.nullable),
                "ignored": ",".join(signature.ignored),
            },
        }

    def config(self) -> dict[str, Any]:
        """Return the model configuration, as far as it has a meaning here."""
        return {
            "name": self._model.name,
            "platform": self.platform,
            "backend": BACKENDS.get(self._format, self._format),
            "version_policy": {"specific": {"versions": []}},
            "max_batch_size": 0,  # rows are the first dimension, not a batch around it
            "input": [_config_tensor(tensor) for tensor in self._signature.inputs],
            "output": [_config_tensor(tensor) for tensor in self._signature.outputs],
        }

    def index(self, why_not: str) -> list[dict[str, str]]:
        """Return the repository index: one model."""
        state = "UNAVAILABLE" if why_not else "READY"
        return [{"name": self._model.name, "version": self._model.version, "state": state, "reason": why_not}]

    def statistics(self) -> dict[str, Any]:
        """Return the statistics of V2's extension, those that are measured: requests, rows, durations."""
        sums = self._monitor.statistics()
        return {
            "model_stats": [
                {
                    "name": self._model.name,
                    "version": self._model.version,
                    "last_inference": sums.last_milliseconds,
                    "inference_count": sums.rows,
                    "execution_count": sums.executions,
                    "inference_stats": {
                        "success": {"count": sums.successes, "ns": sums.success_nanoseconds},
                        "fail": {"count": sums.failures, "ns": sums.failure_nanoseconds},
                        **{
                            name: {"count": sums.answers, "ns": spent} for name, spent in sums.phase_nanoseconds.items()
                        },
                    },
                }
            ]
        }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _config_tensor(tensor: Tensor) -> dict[str, Any]:
    datatype = "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"
    return {"name": tensor.name, "data_type": datatype, "dims": list(tensor.shape)}


UNSUPPORTED = {
    "/v2/repository/models/": "models are not loaded or unloaded: this server has one model, which never changes",
    "/v2/systemsharedmemory": "shared memory is not supported: send the data in the request",
    "/v2/cudasharedmemory": "shared memory is not supported: send the data in the request",
    "/v2/trace/setting": "there is no trace to set",
    "/v2/logging": "the log has no settings",
}


def unsupported(path: str) -> str | None:
    """Return why there is nothing at a path that V2's extensions know, None for any other path."""
    if path.startswith("/v2/models/") and path.endswith("/trace/setting"):
        path = "/v2/trace/setting"
    return next((why for begin, why in UNSUPPORTED.items() if path.startswith(begin)), None)
