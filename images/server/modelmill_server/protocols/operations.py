"""Operation objects of the OpenAPI document: what it says of each path, one for each row of the route table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelmill_server.protocols.openapi_schemas import COUNT, Requests, Schema, array, record, ref

V2, V1, MLFLOW, OWN = "Open Inference Protocol V2", "V1", "MLflow", "Operation"
TAGS = (V2, V1, MLFLOW, OWN)
JSON, OCTETS, TEXT = "application/json", "application/octet-stream", "text/plain"
OPENMETRICS = "application/openmetrics-text"
TRUE: Schema = {"const": True}
STRING: Schema = {"type": "string"}

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
    504: "The model did not answer in time.",
}
POST_ERRORS = (400, 408, 413, 415, 500, 503, 504)


def _get(
    tag: str, name: str, summary: str, answer: Schema, *, kind: str = JSON, errors: dict[int, Schema] | None = None
) -> Schema:
    """Return an operation of GET. errors: schemas by status; every path of a model may say 503 until it is loaded."""
    responses = {"200": _content("OK", answer, kind)}
    responses |= {str(code): _content(ERRORS[code], schema) for code, schema in (errors or {}).items()}
    return {"tags": [tag], "operationId": name, "summary": summary, "responses": responses}


def _post(tag: str, name: str, summary: str, answer: Schema, errors: Sequence[int], **more: Any) -> Schema:
    """Return an operation of POST. more: further members."""
    responses = {"200": _content("OK", answer), **{str(code): _error(code) for code in errors}}
    return {"tags": [tag], "operationId": name, "summary": summary, **more, "responses": responses}


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


READY_ANSWER, NOT_READY = ref("Ready"), {503: ref("NotReady")}
UNREADY = {503: ref("Error")}
MODEL_NOT_READY: dict[int, Schema] = {503: {"anyOf": [ref("ModelNotReady"), ref("Error")]}}
WHETHER_PROCESS = "Whether the process answers"
WHETHER_MODEL = "Whether the model answers, or why not"
STATISTICS_SUMMARY = "How many requests and rows were answered, and how long it took"

ALIVE = _get(V1, "alive", WHETHER_PROCESS, record({"status": {"const": "alive"}}))
SERVER = _get(V2, "v2_server", "Name, version and protocol extensions of the server", ref("Server"))
LIVE = _get(V2, "v2_live", WHETHER_PROCESS, record({"live": TRUE}))
READY = _get(V2, "v2_ready", WHETHER_MODEL, READY_ANSWER, errors=NOT_READY)
PING = _get(MLFLOW, "mlflow_ping", WHETHER_MODEL, READY_ANSWER, errors=NOT_READY)
HEALTH = _get(MLFLOW, "mlflow_health", WHETHER_MODEL, READY_ANSWER, errors=NOT_READY)
VERSION = _get(MLFLOW, "mlflow_version", "Version of the server", STRING, kind=TEXT)
METRICS = _get(OWN, "metrics", "Metrics in the text form of Prometheus, or in OpenMetrics", STRING, kind=TEXT)
METRICS["responses"]["200"]["content"][OPENMETRICS] = {"schema": STRING}
OPENAPI = _get(
    OWN, "openapi", "This document", record({"openapi": STRING, "paths": {"type": "object"}}), errors=UNREADY
)
ALL_STATISTICS = _get(V2, "v2_all_stats", STATISTICS_SUMMARY, ref("Statistics"), errors=UNREADY)
V2_MODELS = _get(V2, "v2_models", "Names of the models: one", ref("Models"), errors=UNREADY)
V1_MODELS = _get(V1, "v1_models", "Names of the models: one", ref("Models"), errors=UNREADY)
V1_READY = _get(V1, "v1_ready", WHETHER_MODEL, ref("ModelReady"), errors=MODEL_NOT_READY)
INDEX = _post(
    V2, "v2_index", "Names, versions and states of the models: one", ref("Index"), (413, 415, 503),
    description="The body is not read.",
)  # fmt: skip


def metadata(suffix: str) -> Schema:
    """Return V2's metadata. suffix: of the operation's name, as in the functions below."""
    summary = "Inputs, outputs and engine of the model"
    return _get(V2, f"v2_metadata{suffix}", summary, ref("ModelMetadata"), errors=UNREADY)


def model_ready(suffix: str) -> Schema:
    """Return the readiness of V2's model."""
    return _get(V2, f"v2_model_ready{suffix}", WHETHER_MODEL, ref("ModelReady"), errors=MODEL_NOT_READY)


def config(suffix: str) -> Schema:
    """Return Triton's model configuration."""
    summary = "Tensors as Triton's model configuration has them"
    return _get(V2, f"v2_config{suffix}", summary, ref("ModelConfig"), errors=UNREADY)


def statistics(suffix: str) -> Schema:
    """Return V2's statistics."""
    return _get(V2, f"v2_stats{suffix}", STATISTICS_SUMMARY, ref("Statistics"), errors=UNREADY)


def infer(suffix: str, requests: Requests) -> Schema:
    """Return V2 `infer`. suffix: of the operation's name."""
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
        V2, f"v2_infer{suffix}", "Predict", ref("InferAnswer"), POST_ERRORS,
        description="A feature that is a number may come in any datatype of numbers as long as nothing is lost; FP16 in "
        "binary form only. All tensors have the same number of rows, and as many values as their shape says.",
        parameters=[{"name": "Inference-Header-Content-Length", "in": "header", "schema": COUNT, "description": length}],
        requestBody=body,
    )  # fmt: skip
    ok = operation["responses"]["200"]
    ok["content"][OCTETS] = {"schema": {"type": "string", "format": "binary", "description": "As in requests."}}
    ok["headers"] = {
        "Inference-Header-Content-Length": {"schema": COUNT, "description": "With answers in binary form: " + length},
        "Modelmill-Feedback-Id": {"schema": STRING, "description": "For POST /feedback."},
    }
    return operation


def _v1_body(requests: Requests) -> Schema:
    rows = ref("Rows")
    forms = [
        record({"instances": rows}, {"inputs": False}, title="instances"),
        record({"inputs": {"anyOf": [rows, ref("Columns")]}}, {"instances": False}, title="inputs"),
    ]
    row = requests.example_row()
    examples = {"rows": {"instances": [list(row.values())]}, "named": {"instances": [row]}, "columns": {"inputs": row}}
    return _body({"anyOf": forms}, examples)


def v1_predict(requests: Requests) -> Schema:
    """Return V1 `:predict`."""
    body = _v1_body(requests)
    return _post(V1, "v1_predict", "Predict", ref("Predictions"), POST_ERRORS, requestBody=body)


def v1_explain(requests: Requests, task: str) -> Schema:
    """Return V1 `:explain`."""
    of = "the probability of the predicted class" if task == "classification" else "the prediction"
    return _post(
        V1, "v1_explain", "Predict, and tell what each feature does to the prediction", ref("Explanations"),
        (*POST_ERRORS, 501),
        description=f"For each row, how much {of} would change if one feature had its typical value instead.",
        requestBody=_v1_body(requests),
    )  # fmt: skip


def invocations(requests: Requests) -> Schema:
    """Return MLflow's `/invocations`."""
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
    return _post(
        MLFLOW, "mlflow_invocations", "Predict", ref("Predictions"), POST_ERRORS,
        description="The body has exactly one of the four forms.",
        requestBody=_body({"anyOf": bodies}, examples),
    )  # fmt: skip


_LABEL = record({"id": STRING, "label": {"description": "What the prediction should have been."}}, {"labels": False})
_LABELS = record({"id": STRING, "labels": array({}, description="One for each row of the request.")}, {"label": False})
_IMPLAUSIBLE = {
    **COUNT,
    "description": "Of those, labels that the training data does not make plausible; left out when none.",
}
_LABEL_EXAMPLES = {"one row": {"id": "ID", "label": 1.5}, "rows": {"id": "ID", "labels": [1.5, 2.5]}}
FEEDBACK = _post(
    OWN, "feedback", "Tell what was right", record({"accepted": COUNT}, {"implausible": _IMPLAUSIBLE}),
    (400, 404, 408, 409, 413, 415, 500, 503),
    description="`id` is the feedback id of an answer, from its header Modelmill-Feedback-Id.",
    requestBody=_body({"anyOf": [_LABEL, _LABELS]}, _LABEL_EXAMPLES),
)  # fmt: skip
