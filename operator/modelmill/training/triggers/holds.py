"""What holds a run back: each check returns a Hold, or None."""

from __future__ import annotations

from datetime import timedelta

from modelmill.api.resources import TRAINING_JOBS
from modelmill.api.versions import latest_approved
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import GROUP, RUN_ANNOTATION
from modelmill.training.triggers import alerts
from modelmill.training.triggers.reason import Hold
from modelmill.training.view import View

DOUBLED_AT_MOST = 4
DAY = timedelta(hours=24)
OF_ALERTS_PER_DAY = 4
WAITS_FOR_TURN = "TooManyRetrains"
JOINS_LINE = "JoinsTheLine"
"""Of one that does not stand in the line yet, which is written first: it waits for nothing that people need to know."""
PLURAL = f"{TRAINING_JOBS.plural}.{GROUP}"


def model_of_another(view: View) -> Hold | None:
    """Two TrainingJobs of one model would give different versions the same names."""
    if view.owner is None:
        return None
    text = f"spec.model {view.spec.model} belongs to TrainingJob {view.owner}, which is older"
    return Hold("ModelOwnedByAnother", f"{text}; delete that one, or create this one with another spec.model")


def run_in_progress(view: View) -> Hold | None:
    """One run at a time; it answers every reason that there was when it started."""
    current = view.status.current_run
    return Hold("RunInProgress", f"run {current.number} is in progress") if current is not None else None


def suspended(view: View) -> Hold | None:
    """A person said that no run starts."""
    return Hold("Suspended", "spec.runPolicy.suspend is true") if view.spec.run_policy.suspend else None


def rollback_first(view: View) -> Hold | None:
    """An alert for which the version before may come back starts no run: what serves then may be good.

    When nothing comes back the service says so of the alert, and the alert counts. About what came back it is another alert.
    """
    for service in view.retraining_services():
        stable, monitoring = service.status.stable, service.spec.monitoring
        back = monitoring.rollback if monitoring is not None else None
        if stable is None or back is None:
            continue
        told = [
            one for one in service.status.alerts if one.kind in back.kinds and one.version in (None, stable.version)
        ]
        waits = next((one for one in told if one.id not in service.status.rollback_held), None)
        if waits is not None:
            back_to = f"the version before {stable.version}"
            text = f"for {waits.name} InferenceService {service.name} may go back to {back_to}; a run starts if it does not, "
            text += "or if such an alert is about that version, too"
            return Hold("RollbackFirst", text)
    return None


def rolling_out(view: View) -> Hold | None:
    """An alert about a version whose remedy is on its way must not start another run.

    When the rollout is taken back the service remembers a failed revision, and the alert counts again. So it does when the
    newest version was left by a person's word.
    """
    newest = latest_approved(view.versions)
    if newest is None:
        return None
    for service in view.retraining_services():
        stable = service.status.stable
        back = service.status.rollback
        skipped = back is not None and newest.name in back.left
        behind = stable is not None and stable.version != newest.name and not skipped
        if service.spec.model.follow is not None and behind and not service.status.failed_revision:
            text = f"{newest.name} is newer than the version that the alerts are about and is being rolled out"
            return Hold("RollingOut", text)
    return None


def too_many_in_a_row(view: View) -> Hold | None:
    """What went wrong again and again goes wrong once more, until a person mends it."""
    found = row_of_trouble(view)
    return Hold(found[0], f"{found[1]}; start a run: {command(view)}") if found is not None else None


def command(view: View) -> str:
    """Return the command that starts a run, which ends a suspension."""
    return f'kubectl -n {view.namespace} annotate {PLURAL} {view.name} {RUN_ANNOTATION}="$(date +%s)" --overwrite'


def row_of_trouble(view: View) -> tuple[str, str] | None:
    """Return reason and sentence when as many runs in a row failed, were rejected or did not help as the spec bears."""
    most = view.spec.retrain.max_consecutive_failures
    if view.status.consecutive_failures >= most:
        return "TooManyFailures", f"{view.status.consecutive_failures} runs in a row failed"
    if view.status.consecutive_rejections >= most:
        return "TooManyRejections", f"{view.status.consecutive_rejections} versions in a row failed their gates"
    if len(view.status.unhelpful_runs) >= most:
        text = "runs of alerts in a row did not help: soon after each the same kind of alert was about the version that it made"
        return "TooManyUnhelpful", f"{len(view.status.unhelpful_runs)} {text}"
    return None


def too_many_in_a_day(view: View) -> Hold | None:
    """As many runs that nobody asked for have begun within 24 hours as the spec allows."""
    most = view.spec.retrain.max_runs_per_day
    return _many(view, most, "that nobody asked for", f"spec.retrain.maxRunsPerDay is {most}") if most else None


def too_many_of_alerts(view: View) -> Hold | None:
    """Where the spec does not say how many runs may begin, alerts alone begin no more than a few."""
    if view.spec.retrain.max_runs_per_day is not None:
        return None
    return _many(view, OF_ALERTS_PER_DAY, "of alerts", f"without spec.retrain.maxRunsPerDay it is {OF_ALERTS_PER_DAY}")


def _many(view: View, most: int, which: str, allowed: str) -> Hold | None:
    starts = starts_of_day(view)
    if len(starts) < most:
        return None
    until = parse_timestamp(starts[most - 1]) + DAY
    text = f"{len(starts)} runs {which} began in 24 hours, {allowed}; the next may begin at {timestamp(until)}"
    return Hold("TooManyRunsPerDay", text, until)


def starts_of_day(view: View) -> tuple[str, ...]:
    """Return when the runs of the last 24 hours began that count, newest first."""
    return tuple(one for one in view.status.unattended_starts if parse_timestamp(one) + DAY > view.now)


def with_start(view: View, kind: str, moment: str) -> tuple[str, ...]:
    """Return the starts that count when a run that nobody asked for begins: of alerts alone where the spec sets no limit."""
    most = view.spec.retrain.max_runs_per_day
    if most is None and kind != alerts.KIND:
        return view.status.unattended_starts
    return (moment, *starts_of_day(view))[: most or OF_ALERTS_PER_DAY]


def cooldown(view: View) -> Hold | None:
    """The time from the end of the last run, twice as long for each rejected version and failed run in a row.

    The next is likely no better.
    """
    last = view.status.last_run
    if last is None:
        return None
    rejections, failures = view.status.consecutive_rejections, view.status.consecutive_failures
    seconds = view.spec.retrain.cooldown_seconds * 2 ** min(rejections + failures, DOUBLED_AT_MOST)
    until = parse_timestamp(last.finish_time) + timedelta(seconds=seconds)
    if view.now >= until:
        return None
    counted = [f"{count} {what}" for count, what in ((rejections, "rejected"), (failures, "failed")) if count]
    why = f" (longer because of {' and '.join(counted)} in a row)" if counted else ""
    return Hold("Cooldown", f"cooldown until {timestamp(until)}{why}", until)


def not_its_turn(view: View) -> Hold | None:
    """So many runs that nobody asked for are in progress in the whole cluster at once, the oldest reasons first."""
    if view.turn.has:
        return None
    return Hold(WAITS_FOR_TURN if view.turn.stands_in_line else JOINS_LINE, view.turn.why)
