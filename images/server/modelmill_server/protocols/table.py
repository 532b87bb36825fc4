"""The route table: every path of the server with what answers it and what the OpenAPI document says of it.

Dispatch and document are made of the same rows, so a path cannot be in one of them only. `of_server` is there from
the first moment, `of_model` once the model is loaded.
"""

from __future__ import annotations

from modelmill_server.protocols import operations
from modelmill_server.protocols.endpoints import ModelEndpoints
from modelmill_server.protocols.openapi import About
from modelmill_server.protocols.pages import ServerPages
from modelmill_server.protocols.routes import Inference, Intake, Page, Route


def of_server(pages: ServerPages) -> tuple[Route, ...]:
    """Return the routes that need no model."""
    return (
        Route("/", operations.ALIVE, Page(pages.alive)),
        Route("/v2", operations.SERVER, Page(pages.server)),
        Route("/v2/health/live", operations.LIVE, Page(pages.live)),
        Route("/v2/health/ready", operations.READY, Page(pages.ready)),
        Route("/ping", operations.PING, Page(pages.ready)),
        Route("/health", operations.HEALTH, Page(pages.ready)),
        Route("/version", operations.VERSION, Page(pages.version)),
        Route("/metrics", operations.METRICS, Page(pages.metrics)),
    )


def of_model(about: About, endpoints: ModelEndpoints) -> tuple[Route, ...]:
    """Return the routes of one model."""
    name, requests = about.name, about.requests
    versioned = f"/v2/models/{name}/versions/{about.version}"
    return (
        *_of_v2(f"/v2/models/{name}", "", about, endpoints),
        *_of_v2(versioned, "_version", about, endpoints),
        # Behind the paths above: a model may be called `stats`.
        Route("/v2/models/stats", operations.ALL_STATISTICS, Page(endpoints.statistics)),
        Route("/v2/models", operations.V2_MODELS, Page(endpoints.models)),
        Route("/v2/repository/index", operations.INDEX, Intake(endpoints.index)),
        Route("/v1/models", operations.V1_MODELS, Page(endpoints.models)),
        Route(f"/v1/models/{name}", operations.V1_READY, Page(endpoints.ready)),
        Route(
            f"/v1/models/{name}:predict",
            operations.v1_predict(requests),
            Inference(endpoints.v1, f"/v1/models/{name}:predict"),
        ),
        Route(f"/v1/models/{name}:explain", operations.v1_explain(requests, about.task), Inference(endpoints.explain)),
        Route("/invocations", operations.invocations(requests), Inference(endpoints.mlflow, "/invocations")),
        Route("/feedback", operations.FEEDBACK, Intake(endpoints.feedback)),
        Route("/openapi.json", operations.OPENAPI, Page(endpoints.openapi)),
    )


def _of_v2(base: str, suffix: str, about: About, endpoints: ModelEndpoints) -> tuple[Route, ...]:
    """Return what V2 has for a model with or without its version; suffix: of the operations' names."""
    return (
        Route(base, operations.metadata(suffix), Page(endpoints.metadata)),
        Route(f"{base}/ready", operations.model_ready(suffix), Page(endpoints.ready)),
        Route(f"{base}/config", operations.config(suffix), Page(endpoints.config)),
        Route(f"{base}/stats", operations.statistics(suffix), Page(endpoints.statistics)),
        Route(
            f"{base}/infer",
            operations.infer(suffix, about.requests),
            Inference(endpoints.v2, f"/v2/models/{about.name}/infer"),
        ),
    )
