"""All rules of one InferenceService, in the order in which they need each other."""

from __future__ import annotations

from modelmill.api.objects import InferenceService
from modelmill.contracts.verdict import Holdout
from modelmill.monitoring.rules import data_quality, drift, psi, served
from modelmill.monitoring.rules.alerts import alerts
from modelmill.monitoring.rules.scope import Rule, Scope


def build_group(service: InferenceService, holdout: Holdout | None, runbooks: str) -> Rule | None:
    """Return the group of rules, or None when nothing is monitored or no version serves yet.

    holdout: of the version that serves, None where it is not known: then labels are judged by quality.maximum only.
    runbooks: address of the page with a section for each alert.
    """
    monitoring, stable = service.spec.monitoring, service.status.stable
    if monitoring is None or stable is None:
        return None
    scope = Scope(service.namespace, service.name, stable.version, stable.revision)
    limit = served.limit_of(monitoring.quality, holdout)
    window = monitoring.drift.window_seconds
    return {
        "name": f"modelmill/{service.namespace}/{service.name}",
        "rules": [
            psi.reference_rows(scope),
            *psi.recordings(psi.FEATURES, scope, window),
            *psi.recordings(psi.PREDICTIONS, scope, window),
            *data_quality.recordings(scope, monitoring.drift),
            *drift.decision(scope, monitoring.drift),
            *served.of_labels(scope, monitoring.quality),
            *served.of_requests(scope),
            *served.of_age(scope),
            *alerts(scope, monitoring, limit, runbooks),
        ],
    }
