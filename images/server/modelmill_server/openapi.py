"""The server's own OpenAPI document: every HTTP path of one served model, with its name, its version and its features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill.contracts.artifact import Tensor
from modelmill_server.openapi_schemas import COUNT, Requests, Schema, array, output_tensor, prediction, record, ref

OPENAPI = "3.1.0"
V2, V1, MLFLOW, OWN = "Open Inference Protocol V2", "V1", "MLflow", "Operation"
JSON, OCTETS, TEXT = "application/json", "application/octet-stream", "text/plain"
TRUE: Schema = {"const": True}
STRING: Schema = {"type": "string"}

DESCRIPTION = """\
Serves one model. `POST` bodies are JSON whatever their content type says, and may be compressed (`Content-Encoding: gzip` or
`deflate`). `HEAD` is answered like `GET`. Every error is `{"error": "…"}` with the content type `application/json`; the text
names the feature and the row where there is one. A path that is not here, another model's name or another version gets 404, a
method that a path does not have 405. In JSON a missing value is `null`.
"""
ERRORS = {
    400: "The request is not right; the text says what, at which feature and row.",
    404: "Nothing of that name is known.",
    408: "The body did not arrive in time.",
    409: "There is a label already.",
    413: "Too many bytes or too many rows.",
    415: "The content encoding is not known.",
    500: "The model failed on this request. The text has a reference, the server's log has the rest under it.",
    501: "This model cannot be asked that.",
    503: "Not ready, or too many requests at once; try again after the seconds in Retry-After.",
}
POST_ERRORS = (400, 408, 413, 415, 500, 503)


def document(
    model: str,
    version: str,
    server_version: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    *,
    task: str,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server that serves this model.

    inputs, outputs: the signature's tensors; the first output is the one that V1 and MLflow answer. task: regression or
    classification. Raises ValueError naming the input whose datatype is not known.
    """
    requests = Requests(inputs, outputs)
    paths = {
        **_health_paths(),
        **_v2_paths(model, version, requests),
        **_v1_paths(model, requests, task),
        **_mlflow_paths(requests),
        **_own_paths(),
    }
    return {
        "openapi": OPENAPI,
        "info": {"title": f"Model {model}", "version": server_version, "description": DESCRIPTION},
        "tags": [{"name": name} for name in (V2, V1, MLFLOW, OWN)],
        "paths": paths,
        "components": {"schemas": {**requests.components, **_answers(model, version, outputs)}},
    }


def _get(
    tag: str, name: str, summary: str, answer: Schema, *, kind: str = JSON, errors: dict[int, Schema] | None = None
) -> Schema:
    """Return a path with one GET. errors: schemas by status; every path of a model may say 503 until it is loaded."""
    responses = {"200": _content("OK", answer, kind)}
    responses |= {str(code): _content(ERRORS[code], schema) for code, schema in (errors or {}).items()}
    return {"get": {"tags": [tag], "operationId": name, "summary": summary, "responses": responses}}


def _post(tag: str, name: str, summary: str, answer: Schema, errors: Sequence[int], **more: Any) -> Schema:
    """Return a path with one POST. more: further members of the operation."""
    responses = {"200": _content("OK", answer), **{str(code): _error(code) for code in errors}}
    return {"post": {"tags": [tag], "operationId": name, "summary": summary, **more, "responses": responses}}


def _content(words: str, schema: Schema, kind: str = JSON) -> Schema:
    return {"description": words, "content": {kind: {"schema": schema}}}


def _error(code: int) -> Schema:
    error = _content(ERRORS[code], ref("Error"))
    if code == 503:
        error["headers"] = {"Retry-After": {"schema": COUNT, "description": "Seconds"}}
    return error


def _body(schema: Schema, examples: dict[str, Any]) -> Schema:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"required": True, "content": {JSON: {"schema": schema, "examples": shown}}}


def _health_paths() -> dict[str, Any]:
    ready, not_ready = ref("Ready"), {503: ref("NotReady")}
    return {
        "/": _get(V1, "alive", "Whether the process answers", record({"status": {"const": "alive"}})),
        "/v2": _get(V2, "v2_server", "Name, version and protocol extensions of the server", ref("Server")),
        "/v2/health/live": _get(V2, "v2_live", "Whether the process answers", record({"live": TRUE})),
        "/v2/health/ready": _get(V2, "v2_ready", "Whether the model answers, or why not", ready, errors=not_ready),
        "/ping": _get(MLFLOW, "mlflow_ping", "Whether the model answers, or why not", ready, errors=not_ready),
        "/health": _get(MLFLOW, "mlflow_health", "Whether the model answers, or why not", ready, errors=not_ready),
        "/version": _get(MLFLOW, "mlflow_version", "Version of the server", STRING, kind=TEXT),
    }


def _v2_paths(model: str, version: str, requests: Requests) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    unready = {503: ref("Error")}
    for base, suffix in ((f"/v2/models/{model}", ""), (f"/v2/models/{model}/versions/{version}", "_version")):
        pages = {
            "": ("metadata", "Inputs, outputs and engine of the model", ref("ModelMetadata"), unready),
            "/ready": ("model_ready", "Whether the model answers, or why not", ref("ModelReady"), MODEL_NOT_READY),
            "/config": ("config", "Tensors as Triton's model configuration has them", ref("ModelConfig"), unready),
            "/stats": (
                "stats",
                "How many requests and rows were answered, and how long it took",
                ref("Statistics"),
                unready,
            ),
        }
        for path, (name, summary, answer, errors) in pages.items():
            paths[base + path] = _get(V2, f"v2_{name}{suffix}", summary, answer, errors=errors)
        paths[f"{base}/infer"] = _infer(f"v2_infer{suffix}", requests)
    summary = "How many requests and rows were answered, and how long it took"
    paths["/v2/models/stats"] = _get(V2, "v2_all_stats", summary, ref("Statistics"), errors=unready)
    paths["/v2/models"] = _get(V2, "v2_models", "Names of the models: one", ref("Models"), errors=unready)
    paths["/v2/repository/index"] = _post(
        V2, "v2_index", "Names, versions and states of the models: one", ref("Index"), (503,),
        description="The body is not read.",
    )  # fmt: skip
    return paths


MODEL_NOT_READY: dict[int, Schema] = {503: {"anyOf": [ref("ModelNotReady"), ref("Error")]}}


def _infer(name: str, requests: Requests) -> Schema:
    binary = {
        "description": "The JSON part, and after it the values of the tensors that have `binary_data_size`, in their order, "
        "little-endian; BYTES as 4 bytes of length and the text.",
        "type": "string",
        "format": "binary",
    }
    length = "Length of the JSON part in bytes, when values in binary form follow it."
    body = _body(ref("InferRequest"), {"row": {"id": "1", "inputs": requests.example_tensors()}})
    body["content"][OCTETS] = {"schema": binary}
    operation = _post(
        V2, name, "Predict", ref("InferAnswer"), POST_ERRORS,
        description="A feature that is a number may come in any datatype of numbers as long as nothing is lost; FP16 in "
        "binary form only. All tensors have the same number of rows, and as many values as their shape says.",
        parameters=[{"name": "Inference-Header-Content-Length", "in": "header", "schema": COUNT, "description": length}],
        requestBody=body,
    )  # fmt: skip
    ok = operation["post"]["responses"]["200"]
    ok["content"][OCTETS] = {"schema": {"type": "string", "format": "binary", "description": "As in requests."}}
    ok["headers"] = {
        "Inference-Header-Content-Length": {"schema": COUNT, "description": "With answers in binary form: " + length},
        "Modelmill-Feedback-Id": {"schema": STRING, "description": "For POST /feedback."},
    }
    return operation


def _v1_paths(model: str, requests: Requests, task: str) -> dict[str, Any]:
    rows = ref("Rows")
    forms = [
        record({"instances": rows}, {"inputs": False}, title="instances"),
        record({"inputs": {"anyOf": [rows, ref("Columns")]}}, {"instances": False}, title="inputs"),
    ]
    row = requests.example_row()
    examples = {"rows": {"instances": [list(row.values())]}, "named": {"instances": [row]}, "columns": {"inputs": row}}
    body = _body({"anyOf": forms}, examples)
    of = "the probability of the predicted class" if task == "classification" else "the prediction"
    return {
        "/v1/models": _get(V1, "v1_models", "Names of the models: one", ref("Models"), errors={503: ref("Error")}),
        f"/v1/models/{model}": _get(
            V1, "v1_ready", "Whether the model answers, or why not", ref("ModelReady"), errors=MODEL_NOT_READY
        ),
        f"/v1/models/{model}:predict": _post(
            V1, "v1_predict", "Predict", ref("Predictions"), POST_ERRORS, requestBody=body
        ),
        f"/v1/models/{model}:explain": _post(
            V1, "v1_explain", "Predict, and tell what each feature does to the prediction", ref("Explanations"),
            (*POST_ERRORS, 501),
            description=f"For each row, how much {of} would change if one feature had its typical value instead.",
            requestBody=body,
        ),
    }  # fmt: skip


def _mlflow_paths(requests: Requests) -> dict[str, Any]:
    forms = {
        "dataframe_split": ref("Split"),
        "dataframe_records": ref("Rows"),
        "instances": ref("Rows"),
        "inputs": {"anyOf": [ref("Rows"), ref("Columns")]},
    }
    row = requests.example_row()
    bodies = [
        record({name: form}, {other: False for other in forms if other != name}, title=name)
        for name, form in forms.items()
    ]
    examples = {
        "dataframe_split": {"dataframe_split": {"columns": list(row), "data": [list(row.values())]}},
        "dataframe_records": {"dataframe_records": [row]},
        "instances": {"instances": [list(row.values())]},
        "inputs": {"inputs": {name: [value] for name, value in row.items()}},
    }
    return {
        "/invocations": _post(
            MLFLOW, "mlflow_invocations", "Predict", ref("Predictions"), POST_ERRORS,
            description="The body has exactly one of the four forms.",
            requestBody=_body({"anyOf": bodies}, examples),
        )
    }  # fmt: skip


def _own_paths() -> dict[str, Any]:
    one = record({"id": STRING, "label": {"description": "What the prediction should have been."}}, {"labels": False})
    many = record({"id": STRING, "labels": array({}, description="One for each row of the request.")}, {"label": False})
    examples = {"one row": {"id": "ID", "label": 1.5}, "rows": {"id": "ID", "labels": [1.5, 2.5]}}
    return {
        "/feedback": _post(
            OWN, "feedback", "Tell what was right", record({"accepted": COUNT}), (400, 404, 408, 409, 413, 415, 500, 503),
            description="`id` is the feedback id of an answer, from its header Modelmill-Feedback-Id.",
            requestBody=_body({"anyOf": [one, many]}, examples),
        ),
        "/metrics": _get(OWN, "metrics", "Metrics in the text format of Prometheus", STRING, kind=TEXT),
        "/openapi.json": _get(
            OWN, "openapi", "This document", record({"openapi": STRING, "paths": {"type": "object"}}),
            errors={503: ref("Error")},
        ),
    }  # fmt: skip


def _answers(model: str, version: str, outputs: Sequence[Tensor]) -> dict[str, Schema]:
    """Return the schemas of answers."""
    name, reason = {"const": model}, {"error": {"type": "string", "description": "Why not"}}
    tensor = record({"name": STRING, "datatype": STRING, "shape": array({"type": "integer"})})
    config = record(
        {"name": STRING, "data_type": {"type": "string", "pattern": "^TYPE_"}, "dims": array({"type": "integer"})}
    )
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
                "outputs": array({"anyOf": [output_tensor(item) for item in outputs]}, 1),
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
