"""The dashboard of the operator."""

from __future__ import annotations

from typing import Any, Final

from hack.dashboards.panels import Panel, Query, Row, asked, dashboard, datasource

OURS: Final = '{job=~"$job"}'
RATE: Final = f"{OURS}[$__rate_interval]"
RUNS: Final = "RunStarted|RunPublished|RunUnchanged|RunReplaced|RunReproduced|RunFailed|GateFailed|DataRejected"
"""Events about runs."""
SPOKE: Final = "modelmill_watch_last_event_timestamp_seconds"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{RATE}))"


def _slowest(histogram: str, by: str) -> Query:
    return Query(f"histogram_quantile(0.95, {_rate(f'{histogram}_bucket', f'{by},le')})", f"{{{{{by}}}}}")


AT_A_GLANCE: Final = Row(
    "At a glance",
    [
        Panel(title="Leaders", form="stat", steps=((0, "red"), (1, "green"), (2, "red")),
              says="One process works, others stand by. None: what runs goes on, and nothing new begins.",
              queries=[Query(f"sum(modelmill_leader_election_master_status{OURS}) or vector(0)", "leaders")]),
        Panel(title="Processes", form="stat", says="Operator processes that were scraped, by release.",
              queries=[Query(f"count by (version) (modelmill_build_info{OURS})", "{{version}}")]),
        Panel(title="Keys that wait", form="stat", steps=((0, "green"), (100, "orange")),
              says="Objects that wait to be worked on.", queries=[Query(f"sum(modelmill_workqueue_depth{OURS})", "keys")]),
        Panel(title="Kinds not watched", form="stat", steps=((0, "green"), (1, "red")),
              says="Kinds that are not installed, or that the operator may not watch; /readyz says which.",
              queries=[Query(f"sum(modelmill_watch_refused{OURS})", "kinds")]),
        Panel(title="Longest reconciliation in progress", form="stat", unit="s", steps=((0, "green"), (120, "red")),
              says="Two minutes and more: it hangs.",
              queries=[Query(f"max(modelmill_workqueue_longest_running_processor_seconds{OURS})", "longest")]),
    ],
)  # fmt: skip
WORK: Final = Row(
    "Work on objects",
    [
        Panel(title="Reconciliations", unit="ops", least=0, says="By kind and result.",
              queries=[Query(_rate("modelmill_reconcile_total", "controller,result"), "{{controller}} {{result}}")]),
        Panel(title="Failed reconciliations", unit="ops", least=0,
              says="For an hour: an object cannot be brought to what it wants; its condition Ready says why.",
              queries=[Query(_rate("modelmill_reconcile_errors_total", "controller"), "{{controller}}")]),
        Panel(title="Time of a reconciliation, 95 %", unit="s", least=0, says="By kind.",
              queries=[_slowest("modelmill_reconcile_time_seconds", "controller")]),
        Panel(title="Time in the queue, 95 %", unit="s", least=0, says="How long a key waited.",
              queries=[_slowest("modelmill_workqueue_queue_duration_seconds", "name")]),
        Panel(title="Keys that wait", least=0, says="By queue.",
              queries=[Query(f"sum by (name) (modelmill_workqueue_depth{OURS})", "{{name}}")]),
        Panel(title="Workers in progress", least=0, says="Reconciliations that go on.",
              queries=[Query(f"sum by (controller) (modelmill_active_workers{OURS})", "{{controller}}")]),
    ],
)  # fmt: skip
OUTCOMES: Final = Row(
    "Runs, alerts and Events",
    [
        Panel(title="Runs of TrainingJobs in an hour", least=0, says="Runs that began, and how runs ended, by the Events about "
              "them.",
              queries=[Query("sum by (reason) (increase(modelmill_events_total"
                             f'{{job=~"$job",kind="TrainingJob",reason=~"{RUNS}"}}[1h]))', "{{reason}}")]),
        Panel(title="Alerts taken in an hour", least=0, says="By what became of them; docs/reference/operator-metrics.md has "
              "the words.",
              queries=[Query(f"sum by (outcome) (increase(modelmill_alerts_total{OURS}[1h]))", "{{outcome}}")]),
        Panel(title="Events in an hour", least=0, says="The ten most frequent, by kind and reason.",
              queries=[Query(f"topk(10, sum by (kind,reason) (increase(modelmill_events_total{OURS}[1h])))",
                             "{{kind}} {{reason}}")]),
        Panel(title="Refused deliveries of alerts", least=0, says="Requests to /alerts that were not answered 200, in an hour.",
              queries=[Query(f"sum by (code) (increase(modelmill_alert_requests_refused_total{OURS}[1h]))", "{{code}}")]),
    ],
)  # fmt: skip
API: Final = Row(
    "API server",
    [
        Panel(title="Requests", unit="reqps", least=0, says="By method and code.",
              queries=[Query(_rate("modelmill_rest_client_requests_total", "method,code"), "{{method}} {{code}}")]),
        Panel(title="Time of a request, 95 %", unit="s", least=0, says="By method.",
              queries=[_slowest("modelmill_rest_client_request_duration_seconds", "method")]),
        Panel(title="Watch streams that ended", unit="ops", least=0, says="By kind and cause.",
              queries=[Query(_rate("modelmill_watch_restarts_total", "kind,cause"), "{{kind}} {{cause}}")]),
        Panel(title="Silence of the watches", unit="s", least=0, says="Time since the most silent stream of a kind told "
              "something; none of kinds that are not watched.",
              queries=[Query(f"time() - max by (kind) ({SPOKE}{OURS} > 0)", "{{kind}}")]),
    ],
)  # fmt: skip


def operator() -> dict[str, Any]:
    """Return the dashboard."""
    job = asked("job", "Job", "label_values(modelmill_build_info, job)", every=True)
    return dashboard(
        "modelmill-operator",
        "Modelmill / Operator",
        "What the operator does: objects, runs, alerts, and the API server.",
        [datasource(), job],
        [AT_A_GLANCE, WORK, OUTCOMES, API],
    )
