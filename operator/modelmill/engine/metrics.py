"""Metrics of the engine: controller-runtime's set and meaning, under the operator's name.

Source: sigs.k8s.io/controller-runtime, pkg/internal/controller/metrics and pkg/metrics (workqueue, client-go adapter).
Those of the watch streams are our own; docs/decisions/0005-own-client-on-aiohttp.md says what their causes mean.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

RECONCILES = Counter("modelmill_reconcile_total", "Reconciliations by result.", ["controller", "result"])
RECONCILE_ERRORS = Counter("modelmill_reconcile_errors_total", "Reconciliations that failed.", ["controller"])
RECONCILE_SECONDS = Histogram(
    "modelmill_reconcile_time_seconds", "Duration of reconciliations.", ["controller"], buckets=_BUCKETS
)
MAX_WORKERS = Gauge("modelmill_max_concurrent_reconciles", "Reconciliations at most at a time.", ["controller"])
ACTIVE_WORKERS = Gauge("modelmill_active_workers", "Reconciliations in progress.", ["controller"])
QUEUE_DEPTH = Gauge("modelmill_workqueue_depth", "Keys that wait to be reconciled.", ["name"])
QUEUE_ADDS = Counter("modelmill_workqueue_adds_total", "Keys added.", ["name"])
QUEUE_SECONDS = Histogram(
    "modelmill_workqueue_queue_duration_seconds", "How long a key waited.", ["name"], buckets=_BUCKETS
)
WORK_SECONDS = Histogram(
    "modelmill_workqueue_work_duration_seconds", "How long the work on a key took.", ["name"], buckets=_BUCKETS
)
UNFINISHED_SECONDS = Gauge(
    "modelmill_workqueue_unfinished_work_seconds", "Sum of the ages of the work in progress.", ["name"]
)
LONGEST_SECONDS = Gauge(
    "modelmill_workqueue_longest_running_processor_seconds", "Age of the oldest work in progress.", ["name"]
)
QUEUE_RETRIES = Counter("modelmill_workqueue_retries_total", "Keys tried again after an error.", ["name"])
REQUESTS = Counter("modelmill_rest_client_requests_total", "Requests to the API server.", ["code", "method"])
REQUEST_SECONDS = Histogram(
    "modelmill_rest_client_request_duration_seconds", "Duration of requests.", ["method"], buckets=_BUCKETS
)
LEADER = Gauge("modelmill_leader_election_master_status", "1 while this process is the leader.", ["name"])
WATCH_EVENTS = Counter("modelmill_watch_events_total", "Watch events by kind.", ["kind", "type"])
WATCH_RESTARTS = Counter("modelmill_watch_restarts_total", "Watch streams that were cut or refused.", ["kind", "cause"])
WATCH_LAST_EVENT = Gauge(
    "modelmill_watch_last_event_timestamp_seconds",
    "When the most silent stream of the kind told something last: an event, a bookmark or a list. 0 where none ever "
    "did, as of a kind that is not installed.",
    ["kind"],
)
WATCH_REFUSED = Gauge(
    "modelmill_watch_refused", "1 while the kind is not installed (404) or may not be watched (403).", ["kind"]
)
WATCH_CLOSED_SECONDS = Gauge("modelmill_watch_closed_seconds", "For how long a watch stream has been closed.")
EVENTS = Counter("modelmill_events_total", "Kubernetes Events about objects, each once.", ["kind", "reason"])
EVENTS_DROPPED = Counter("modelmill_events_dropped_total", "Kubernetes Events that were not posted.")
BUILD = Gauge("modelmill_build_info", "Version of the operator; always 1.", ["version"])
