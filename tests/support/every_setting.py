"""The spec of an InferenceService with no setting of its server at its default."""

from __future__ import annotations

from typing import Any

REQUIRED, PREFERRED = (f"{one}DuringSchedulingIgnoredDuringExecution" for one in ("required", "preferred"))
HOST = "kubernetes.io/hostname"
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
    "trustedTypes": ["mine.Model"],
    "allowPython": True,
    "env": [{"name": "TZ", "value": "$(HOME)"}],
    "podTemplate": {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                REQUIRED: {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["3"]}]}]
                }
            },
            "podAntiAffinity": {
                PREFERRED: [
                    {
                        "weight": 5,
                        "podAffinityTerm": {"labelSelector": {"matchLabels": {"app": "noisy"}}, "topologyKey": HOST},
                    }
                ]
            },
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 2,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "minDomains": 2,
            }
        ],
        "priorityClassName": "serving",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "server",
    },
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
    "rollout": {"strategy": "Shadow"},
}
