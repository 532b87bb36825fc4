"""The server's own OpenAPI document: every route of one served model, with its name, its version and its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill.contracts.artifact import Signature, Tensor
from modelmill_server import __version__
from modelmill_server.protocols.openapi_schemas import (
    COUNT,
    Requests,
    Schema,
    array,
    output_tensor,
    prediction,
    ranked_tensor,
    record,
)
from modelmill_server.protocols.operations import STRING, TAGS, TRUE
from modelmill_server.protocols.routes import Route

OPENAPI = "3.1.0"

DESCRIPTION = """\
Serves one model. `POST` bodies are JSON whatever their content type says, and may be compressed (`Content-Encoding: gzip` or
`deflate`); so are answers of 2 KiB and more, where `Accept-Encoding` asks for that. `HEAD` is answered like `GET`. Every error
is `{"error": "…"}` with the content type `application/json`; the text names the feature and the row where there is one. A path
that is not here, another model's name or another version gets 404, a method that a path does not have 405. In JSON a missing
value is `null`.
"""


class About:
    """What the document says of a model. name, version: as in the paths.

    The first output is the one that V1 and MLflow answer. Raises ValueError naming the input whose datatype is not known.
    """

    def __init__(self, name: str, version: str, signature: Signature) -> None:
        self.name = name
        self.version = version
        self.task = signature.task
        self.outputs = signature.outputs
        self.requests = Requests(signature)


def document(about: About, routes: Sequence[Route]) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server with these routes; of two with the same path and method, the first counts."""
    paths: dict[str, dict[str, Schema]] = {}
    for route in routes:
        paths.setdefault(route.path, {}).setdefault(route.endpoint.method.lower(), route.operation)
    answers = _answers(about.name, about.version, about.outputs)
    return {
        "openapi": OPENAPI,
        "info": {"title": f"Model {about.name}", "version": __version__, "description": DESCRIPTION},
        "tags": [{"name": name} for name in TAGS],
        "paths": paths,
        "components": {"schemas": {**about.requests.components, **answers}},
    }


def _answers(model: str, version: str, outputs: Sequence[Tensor]) -> dict[str, Schema]:
    """Return the schemas of answers."""
    name, reason = {"const": model}, {"error": {"type": "string", "description": "Why not"}}
    tensor = record({"name": STRING, "datatype": STRING, "shape": array({"type": "integer"})})
    config = record(
        {"name": STRING, "data_type": {"type": "string", "pattern": "^TYPE_"}, "dims": array({"type": "integer"})}
    )
    plain = [output_tensor(item) for item in outputs]
    ranked = [ranked_tensor(item) for item in outputs if len(item.shape) == 2]
    predictions = array(prediction(outputs[0]), 1, description=f"Output `{outputs[0].name}`, one entry for each row.")
    return {
        "Error": record({"error": STRING}, additionalProperties=False),
        "Ready": record({"live": TRUE, "ready": TRUE}),
        "NotReady": record({"live": TRUE, "ready": {"const": False}, **reason}),
        "ModelReady": record({"name": name, "ready": TRUE}),
        "ModelNotReady": record({"name": name, "ready": {"const": False}, **reason}),
        "Server": record({"name": STRING, "version": STRING, "extensions": array(STRING)}),
        "Models": record({"models": array(name, 1, 1)}),
        "Index": array(
            record(
                {
                    "name": name,
                    "version": {"const": version},
                    "state": {"enum": ["READY", "UNAVAILABLE"]},
                    "reason": STRING,
                }
            )
        ),
        "ModelMetadata": record(
            {
                "name": name,
                "versions": array({"const": version}, 1, 1),
                "platform": STRING,
                "inputs": array(tensor, 1),
                "outputs": array(tensor, 1),
            },
            {"parameters": {"type": "object"}},
        ),
        "ModelConfig": record(
            {
                "name": name,
                "platform": STRING,
                "backend": STRING,
                "max_batch_size": COUNT,
                "input": array(config, 1),
                "output": array(config, 1),
            }
        ),
        "Statistics": record({"model_stats": array(_statistics(model, version))}),
        "InferAnswer": record(
            {
                "model_name": name,
                "model_version": {"const": version},
                "outputs": array({"anyOf": [*plain, *ranked]}, 1),
            },
            {"id": STRING, "parameters": record({}, {"feedback_id": STRING})},
        ),
        "Predictions": record({"predictions": predictions}),
        "Explanations": record(
            {
                "predictions": predictions,
                "explanations": array({"type": "object", "additionalProperties": {"type": ["number", "null"]}}, 1),
                "method": STRING,
            },
            {"baseline": {"type": "object", "description": "The typical value of each feature."}},
        ),
    }


def _statistics(model: str, version: str) -> Schema:
    duration = record({"count": COUNT, "ns": {**COUNT, "description": "Nanoseconds, all together."}})
    return record(
        {
            "name": {"const": model},
            "version": {"const": version},
            "last_inference": {**COUNT, "description": "Unix time in milliseconds; 0 when there was none."},
            "inference_count": {**COUNT, "description": "Rows."},
            "execution_count": {**COUNT, "description": "Runs of the model."},
            "inference_stats": record({"success": duration, "fail": duration}),
        }
    )
