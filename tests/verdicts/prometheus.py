"""A life as Prometheus sees it: what it would have scraped, judged by the operator's own rules, and the alerts delivered.

The rules are those of each version that served, with all defaults; promtool evaluates them on what was scraped once a minute,
which is what Prometheus does unless told otherwise. A life tells its counters each five minutes: between two of them they
grow evenly.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol, TypeVar

from modelmill.api.base import Alert
from modelmill.api.objects import read_inference_service
from modelmill.contracts.verdict import Holdout
from modelmill.kube.conditions import timestamp
from modelmill.kube.objects import Manifest
from modelmill.monitoring.alertmanager import FIRING, RESOLVED, parse
from modelmill.monitoring.engine import PROMETHEUS
from modelmill.monitoring.intake import merged
from modelmill.monitoring.part import plan
from modelmill.monitoring.rules.config_map import build_config_map
from modelmill.monitoring.rules.group import build_group
from modelmill.monitoring.stack import RUNBOOKS
from tests.support import objects as o
from tests.verdicts.pods import SERVICE

MINUTES: Final = 5
"""Of a step of a life."""
FIRES: Final = 'time() + 0 * ALERTS{alertstate="firing"}'
MOST_ROUNDS: Final = 12
END: Final = "end"
"""Label of a sample that nobody expects: promtool has come to the end where it complains of it."""
ONE_CORE: Final = {"GOMAXPROCS": "1", "GOGC": "400"}
_SAMPLE: Final = re.compile(r"\{([^{}]*)\} ([-+.\dE]+)")
_LABEL: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class Served:
    """A version and since which step it served."""

    step: int
    version: str
    revision: str
    holdout: Holdout

    def service(self) -> Manifest:
        """Return the service while it serves."""
        made = o.inference_service(monitoring={})
        made["metadata"] |= {"namespace": SERVICE.namespace, "name": SERVICE.name}
        track = {"digest": o.DIGEST, "revision": self.revision, "replicas": 1, "ready": 1}
        return made | {"status": {"phase": "Stable", "stable": {"version": self.version, **track}}}

    def rules(self) -> str:
        """Return the file with its rules."""
        service = read_inference_service(self.service())
        group = build_group(service, self.holdout, RUNBOOKS)
        assert group is not None
        (content,) = build_config_map(service, group)["data"].values()
        return str(content)


@dataclass
class Record:
    """What was scraped. series: by their names with all labels, the step of the first value, and one value a step."""

    served: list[Served] = field(default_factory=list)
    series: dict[str, tuple[int, list[float]]] = field(default_factory=dict)
    steps: int = 0

    def began(self, served: Served, pod: str, page: Mapping[str, float]) -> None:
        """Note that a version serves, by a pod that has just started."""
        self.served.append(served)
        self.scraped(served.step, pod, page)

    def scraped(self, step: int, pod: str, page: Mapping[str, float]) -> None:
        """Note what a pod told at a step."""
        self.steps = step
        where = f'{{namespace="{SERVICE.namespace}",pod="{pod}",'
        for series, value in page.items():
            _, values = self.series.setdefault(series.replace("{", where, 1), (step, []))
            values.append(value)

    def document(self, every: int) -> Manifest:
        """Return what promtool is given: each so many minutes it evaluates the rules and says what fires."""
        moments = range(0, self.steps * MINUTES + 1, every)
        asked: list[Manifest] = [{"expr": FIRES, "eval_time": f"{minute}m"} for minute in moments]
        asked.append(
            {"expr": f'label_replace(vector(0), "{END}", "1", "", "")', "eval_time": f"{self.steps * MINUTES}m"}
        )
        one = {
            "interval": "1m",
            "input_series": [{"series": name, "values": _minutes(*told)} for name, told in self.series.items()],
            "promql_expr_test": asked,
        }
        files = [f"{one.version}.yaml" for one in self.served]
        return {"rule_files": files, "evaluation_interval": f"{every}m", "tests": [one]}


def _minutes(first: int, values: Sequence[float]) -> str:
    """Return a value a minute in promtool's notation, on straight lines between the steps; then the pod is gone."""
    parts = [f"_x{first * MINUTES}"] if first else []
    place = 0
    while place < len(values) - 1:
        slope, more = values[place + 1] - values[place], 1
        while place + more < len(values) - 1 and values[place + more + 1] - values[place + more] == slope:
            more += 1
        parts.append(f"{values[place]!r}+{slope / MINUTES!r}x{more * MINUTES - 1}")
        place += more
    return " ".join([*parts, repr(values[-1]), "stale"])


@dataclass(frozen=True)
class Episode:
    """An alert that fired: from the minute `begin`, until it did not at the minute `end`; None if it still does."""

    labels: Mapping[str, str]
    begin: int
    end: int | None

    @property
    def told_over(self) -> int | None:
        """The minute at which a life is told that it is over: one that is shorter than a step is seen all the same."""
        return None if self.end is None else max(self.end, -(-self.begin // MINUTES) * MINUTES + 1)


def judge(record: Record, promtool: str, folder: Path, every: int) -> list[Episode]:
    """Return what fires in a life by Prometheus' evaluator. folder: for its files. every: minutes between evaluations.

    Raises AssertionError where promtool did not come to the end.
    """
    for one in record.served:
        (folder / f"{one.version}.yaml").write_text(one.rules())
    (folder / "test.yaml").write_text(json.dumps(record.document(every)))
    call = [promtool, "test", "rules", "test.yaml"]
    done = subprocess.run(call, cwd=folder, env=os.environ | ONE_CORE, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if f'{{{END}="1"}}' not in said:
        raise AssertionError(f"promtool did not judge: {said[-2000:]}")
    minutes: dict[tuple[tuple[str, str], ...], set[int]] = {}
    for labels, seconds in _SAMPLE.findall(said):
        told = tuple((name, json.loads(text)) for name, text in _LABEL.findall(labels))
        if (END, "1") not in told:
            minutes.setdefault(told, set()).add(round(float(seconds)) // 60)
    last = record.steps * MINUTES
    return [one for labels, when in minutes.items() for one in _episodes(dict(labels), when, every, last)]


def _episodes(labels: Mapping[str, str], minutes: Set[int], every: int, last: int) -> list[Episode]:
    starts = sorted(one for one in minutes if one - every not in minutes)
    ends = sorted(one + every for one in minutes if one + every not in minutes)
    return [Episode(labels, begin, end if end <= last else None) for begin, end in zip(starts, ends, strict=True)]


class Living(Protocol):
    """A life that was played."""

    record: Record


Played = TypeVar("Played", bound=Living)


class Alertmanager:
    """Delivers the alerts of a life as Alertmanager does, to the code of the operator that takes them."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes
        self._recorded: Sequence[Manifest] = ()

    def alerts(self, stable: Served, step: int) -> tuple[Alert, ...]:
        """Return what fires at a step, about the version that serves."""
        current = stable.service()
        current["status"]["alerts"] = list(self._recorded)
        for minute in range((step - 1) * MINUTES + 1, step * MINUTES + 1):
            told = [_notice(one, RESOLVED) for one in self._episodes if one.told_over == minute]
            told += [_notice(one, FIRING) for one in self._episodes if one.begin == minute]
            if told:
                body = json.dumps({"version": "4", "alerts": told}).encode()
                current["status"]["alerts"], _ = merged(
                    "InferenceService", current, parse(body, _moment(minute)).notices
                )
        found = plan(read_inference_service(current), PROMETHEUS, _moment(step * MINUTES))
        assert found.status is not None
        current["status"]["alerts"] = self._recorded = found.status.get("alerts", [])
        return read_inference_service(current).status.alerts


def _notice(one: Episode, status: str) -> Manifest:
    ended = {"endsAt": timestamp(_moment(one.end))} if status == RESOLVED and one.end is not None else {}
    return {"status": status, "labels": dict(one.labels), "startsAt": timestamp(_moment(one.begin)), **ended}


def _moment(minute: int) -> datetime:
    return o.NOW + timedelta(minutes=minute)


def by_prometheus(life: Played, live: Callable[[Alertmanager], Played], promtool: str, every: int) -> Played:
    """Return the life in which Prometheus raises the alerts. life: by the operator's engine. live: plays it by the alerts.

    What Prometheus would say is known of a life that has been played only: it is played again by that, until what was
    scraped of it is what Prometheus judged. Each time the life is right until one version more. Raises AssertionError where
    there is no end of it.
    """
    for _ in range(MOST_ROUNDS):
        with TemporaryDirectory() as folder:
            told = judge(life.record, promtool, Path(folder), every)
        again = live(Alertmanager(told))
        if again.record == life.record:
            return again
        life = again
    raise AssertionError(f"another life after each of {MOST_ROUNDS} verdicts")
