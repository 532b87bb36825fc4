"""The spec of an InferenceService with no setting of its server at its default."""

from __future__ import annotations

from typing import Any

RUNTIME: dict[str, Any] = {
    "resources": {"limits": {"memory": "1Gi"}},
    "limits": {"maxRequestBytes": 2048, "maxRows": 7, "maxConcurrentRequests": 3, "maxConnections": 100},
    "timeouts": {
        "requestSeconds": 120,
        "bodySeconds": 11,
        "idleSeconds": 75,
        "drainSeconds": 20,
        "fetchSeconds": 600,
        "loadSeconds": 200,
        "rowSeconds": 6,
    },
    "warmupRequests": 3,
    "grpc": {"enabled": True},
    "batching": "Never",
}
EVERY_SETTING: dict[str, Any] = {
    "runtime": RUNTIME,
    "monitoring": {"drift": {"features": 5}},
    "payloadLog": {
        "uri": "s3://logs/$(HOME)",
        "sampleRatio": "0.25",
        "endpoint": "http://logs:9000",
        "secretRef": {"name": "log-keys"},
    },
    "feedback": {"keySecretRef": {"name": "feedback-key"}},
}
