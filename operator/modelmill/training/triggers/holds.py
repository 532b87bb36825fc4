"""What holds a run back: each check returns a Hold, or None."""

from __future__ import annotations

from datetime import timedelta

from modelmill.api.versions import latest_approved
from modelmill.kube.conditions import parse_timestamp, timestamp
from modelmill.kube.labels import RUN_ANNOTATION
from modelmill.training.triggers.reason import Hold
from modelmill.training.view import View

DOUBLED_AT_MOST = 4
DAY = timedelta(hours=24)


def model_of_another(view: View) -> Hold | None:
    """Two TrainingJobs of one model would give different versions the same names."""
    if view.owner is None:
        return None
    text = f"spec.model {view.spec.model} belongs to TrainingJob {view.owner}, which is older"
    return Hold(f"{text}; delete that one, or create this one with another spec.model")


def run_in_progress(view: View) -> Hold | None:
    """One run at a time; it answers every reason that there was when it started."""
    current = view.status.current_run
    return Hold(f"run {current.number} is in progress") if current is not None else None


def suspended(view: View) -> Hold | None:
    """A person said that no run starts."""
    return Hold("spec.runPolicy.suspend is true") if view.spec.run_policy.suspend else None


def rolling_out(view: View) -> Hold | None:
    """An alert about a version whose remedy is on its way must not start another run.

    When the rollout is taken back the service remembers a failed revision, and the alert counts again.
    """
    newest = latest_approved(view.versions)
    if newest is None:
        return None
    for service in view.retraining_services():
        stable = service.status.stable
        behind = stable is not None and stable.version != newest.name
        if service.spec.model.follow is not None and behind and not service.status.failed_revision:
            text = f"{newest.name} is newer than the version that the alerts are about and is being rolled out"
            return Hold(text)
    return None


def too_many_in_a_row(view: View) -> Hold | None:
    """What went wrong again and again goes wrong once more, until a person mends it."""
    found = row_of_trouble(view)
    return Hold(f"{found[1]}; start a run with the annotation {RUN_ANNOTATION}") if found is not None else None


def row_of_trouble(view: View) -> tuple[str, str] | None:
    """Return reason and sentence when as many runs failed, or versions were rejected, in a row as the spec bears."""
    most = view.spec.retrain.max_consecutive_failures
    if view.status.consecutive_failures >= most:
        return "TooManyFailures", f"{view.status.consecutive_failures} runs in a row failed"
    if view.status.consecutive_rejections >= most:
        return "TooManyRejections", f"{view.status.consecutive_rejections} versions in a row failed their gates"
    return None


def too_many_in_a_day(view: View) -> Hold | None:
    """As many runs that nobody asked for have begun within 24 hours as the spec allows."""
    most = view.spec.retrain.max_runs_per_day
    starts = starts_of_day(view)
    if most is None or len(starts) < most:
        return None
    until = parse_timestamp(starts[most - 1]) + DAY
    text = f"{len(starts)} runs that nobody asked for began in 24 hours, spec.retrain.maxRunsPerDay is {most}"
    return Hold(f"{text}; the next may begin at {timestamp(until)}", until)


def starts_of_day(view: View) -> tuple[str, ...]:
    """Return when the runs of the last 24 hours began that nobody asked for, newest first; none where they are not limited."""
    if view.spec.retrain.max_runs_per_day is None:
        return ()
    return tuple(one for one in view.status.unattended_starts if parse_timestamp(one) + DAY > view.now)


def cooldown(view: View) -> Hold | None:
    """The time from the end of the last run, twice as long for each rejected version: the next is likely no better."""
    last = view.status.last_run
    if last is None:
        return None
    rejections = view.status.consecutive_rejections
    seconds = view.spec.retrain.cooldown_seconds * 2 ** min(rejections, DOUBLED_AT_MOST)
    until = parse_timestamp(last.finish_time) + timedelta(seconds=seconds)
    if view.now >= until:
        return None
    why = f" (longer because of {rejections} rejected in a row)" if rejections else ""
    return Hold(f"cooldown until {timestamp(until)}{why}", until)
