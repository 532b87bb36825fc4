"""Checks by PromQL: what is asked, and what the answer says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelmill.api.analysis import Analysis, Check, PrometheusQuery
from modelmill.api.inference_service_status import CanaryTrack, StableTrack
from modelmill.kube.texts import fitted
from modelmill.measuring.prometheus import Answer
from modelmill.serving.rollout.findings import ERROR, FAIL, INSUFFICIENT, PASS, Finding, Samples, whole
from modelmill.serving.view import View

NAME: Final = "prometheus"
MAX_QUERY: Final = 60
"""Characters of a query that are told."""


def queries_of(view: View, stable: StableTrack, candidate: CanaryTrack, analysis: Analysis) -> Mapping[str, str]:
    """Return the queries of the checks, as they are in the spec, with what is asked."""
    # Names, hashes and times only: nothing in them ends a string literal of PromQL.
    fields = {
        "namespace": view.namespace,
        "service": view.name,
        "version": candidate.version,
        "revision": candidate.revision,
        "stableVersion": stable.version,
        "stableRevision": stable.revision,
        "window": f"{analysis.interval_seconds}s",
    }
    queries = {check.prometheus.query for check in analysis.checks if check.prometheus is not None}
    return {query: _filled(query, fields) for query in sorted(queries)}


def of_query(asked: PrometheusQuery, check: Check, samples: Samples) -> Finding:
    """Return what the answer to a query says. Chance is not asked: whether a number is noise, only its query knows."""
    answer = samples.answers.get(asked.query, Answer())
    shown = fitted(asked.query, MAX_QUERY)
    if answer.error:
        return Finding(ERROR, f"{NAME} {shown}: {answer.error}")
    if answer.value is None:
        return Finding(INSUFFICIENT, f"{NAME} {shown}: no value")
    found = []
    if check.maximum is not None:
        above = answer.value > float(check.maximum)
        found.append(Finding(FAIL, f"> {check.maximum}") if above else Finding(PASS, f"<= {check.maximum}"))
    if check.minimum is not None:
        below = answer.value < float(check.minimum)
        found.append(Finding(FAIL, f"< {check.minimum}") if below else Finding(PASS, f">= {check.minimum}"))
    return whole(f"{NAME} {shown} {answer.value:.4g}", found)


def _filled(query: str, fields: Mapping[str, str]) -> str:
    for name, value in fields.items():
        query = query.replace(f"$({name})", value)
    return query
