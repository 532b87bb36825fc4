"""The tester tested: guards of the engine and the plans are taken out one by one, and the crash plans must notice each.

`python -m tests.crash.guards [--share 0.1] [--only WORDS]` plays crash plans on a copy of the operator that lacks a guard until
one of them fails, and prints which one caught that. It ends with 1 when all of them pass without some guard.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from tests.crash.first_problem import FOUND

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "operator" / "modelmill"
SECONDS = 1800


@dataclass(frozen=True)
class Guard:
    """A guard: what it keeps from happening, the file it is in, its code, and the code without it.

    near: words of the plans that it is about, which are played before the others.
    """

    what: str
    file: str
    code: str
    without: str
    near: str = ""


GUARDS = (
    Guard(
        "a key that is added while it is worked on is worked on again",
        "engine/queue.py",
        "            self._again.add(key)\n",
        "",
    ),
    Guard("a failed key comes back", "engine/queue.py", "        self.add_after(key, delay)\n", ""),
    Guard(
        "a later look that a plan asks for comes",
        "engine/runtime.py",
        "queue.add_after(key, plan.requeue_after)",
        "pass",
    ),
    Guard(
        "everything is looked at after a start",
        "engine/runtime.py",
        "            self._queues[resource].add(Key(*one))\n",
        "            pass\n",
    ),
    Guard(
        "a parent that was planned on when it was out of date is read again",
        "engine/runtime.py",
        "            await self._refresh(controller, queue, parent, error)\n        except NotFound",
        "            pass\n        except NotFound",
    ),
    Guard(
        "our own write wakes whom it concerns",
        "engine/executor.py",
        "            self.on_written(resource, before, obj, parent)\n",
        "            pass\n",
    ),
    Guard(
        "an older event does not replace a newer object",
        "engine/cache.py",
        "max(buried, known)",
        "buried",
    ),
    Guard(
        "a late event does not bring a deleted object back",
        "engine/cache.py",
        "max(buried, known)",
        "known",
        near="deleted by another before its answer",
    ),
    Guard(
        "a status that is the same is not written",
        "engine/executor.py",
        ' or status == parent.get("status", {})',
        "",
    ),
    Guard(
        "a hindered deletion is tried again",
        "engine/executor.py",
        "            if await self._there(delete):\n                raise\n",
        "",
        near=": delete ",
    ),
    Guard(
        "a deleted child leaves the cache at once",
        "engine/executor.py",
        "            self._cache.drop(delete.resource, child)\n",
        "            pass\n",
        near=": delete ",
    ),
    Guard("a child has its owner", "engine/children.py", '    if "ownerReferences" not in meta:\n', "    if False:\n"),
    Guard(
        "an apply that was done and not answered is done",
        "engine/executor.py",
        "            applied = await self._client.apply(resource, anew)\n",
        "            raise\n",
        near="reply lost",
    ),
    Guard(
        "the API server is the witness of a lost run",
        "training/part.py",
        "view = await witnessed(cached, reads)",
        "view = cached",
    ),
    Guard(
        "a namesake's Job has another name",
        "training/builders/job.py",
        "{number}-{short_hash(view.uid)[:6]}",
        "{number}",
    ),
    Guard("an answered alert starts no run", "training/triggers/alerts.py", " and one.id not in done]", "]"),
    Guard(
        "a run waits for the version before to come back",
        "training/triggers/holds.py",
        '            return Hold("RollbackFirst", text)\n',
        "            pass\n",
        near="back before a run",
    ),
    Guard(
        "an alert after the run waits for the next",
        "training/transition.py",
        " if one.since is None or one.since <= ended.finished]",
        "]",
        near="told 20 s late",
    ),
    Guard(
        "a version that was made is not made by another run",
        "training/part.py",
        "max([ran, *numbers]) + 1",
        "1",
        near="are deleted and made again",
    ),
    Guard(
        "what made a version is not forgotten with the status",
        "training/transition.py",
        "        create = (build_model_version(view, run, ended.result, record.finish_time),)\n",
        "",
    ),
    Guard(
        "a version that serves is held",
        "registry/plan.py",
        "    return bool(using) or view.version.spec.deletion_policy == DELETE\n",
        "    return None\n",
        near="modelversions are deleted",
    ),
    Guard(
        "who loses an alias hears of it",
        "registry/part.py",
        'return [Key(meta["namespace"], name) for name in names if name != meta["name"]]',
        "return []",
    ),
    Guard(
        "a service hears of a claim of its alias",
        "serving/part.py",
        "claims_of(one), published(one), import_told(one))",
        "published(one), import_told(one))",
    ),
    Guard(
        "a version whose artifact cannot be removed goes all the same",
        "registry/removal.py",
        "    if left <= 0:\n",
        "    if False:\n",
    ),
    Guard(
        "a service hears that a version was imported",
        "serving/part.py",
        "claims_of(one), published(one), import_told(one))",
        "claims_of(one), import_told(one))",
    ),
    Guard(
        "what was imported stays on record when its Job has gone",
        "registry/importing.py",
        "    if known is not None:\n",
        "    if False:\n",
    ),
    Guard(
        "what has an alias is not deleted for being old",
        "training/history.py",
        "bool(spec.aliases)",
        "False",
    ),
    Guard(
        "what was taken back is not rolled out again",
        "serving/target.py",
        "    return asks_to_retry(view) or asks_to_refresh(view)\n\n\ndef retry_text",
        "    return True\n\n\ndef retry_text",
    ),
    Guard(
        "a run that goes on keeps its start",
        "training/transition.py",
        "status = replace(schedule.answered(view), current_run=run, trained_hash=run.trained_hash)",
        "status = replace(schedule.answered(view), current_run=run)",
        near="trainingjobs",
    ),
    Guard(
        "no write begins after the lease has ended",
        "engine/fence.py",
        "asyncio.timeout(self._fence())",
        "asyncio.timeout(None)",
        near="stopped for 20 s before",
    ),
    Guard(
        "an alarm ends a process that was stopped",
        "engine/election.py",
        "            self._alarm(ALARM_SECONDS - self._age())\n",
        "            pass\n",
        near="stopped for 20 s before",
    ),
    Guard(
        "what is missing from a list made anew is gone",
        "engine/runtime.py",
        "            self._gone(resource, gone, listed_at)\n",
        "            pass\n",
        near="are deleted",
    ),
    Guard(
        "a change by another hand is undone",
        "engine/executor.py",
        "        if lost - (seen.never_ours if seen is not None else frozenset()):\n            return False\n",
        "",
        near="are edited",
    ),
    Guard(
        "a child that somebody took from its owner is taken back",
        "engine/children.py",
        "    elif not applied_by(child, FIELD_MANAGER):\n",
        "    else:\n",
        near="lose their owner",
    ),
)


def places(guard: Guard) -> int:
    """Return how often the guard's code is in its file."""
    return (SOURCE / guard.file).read_text().count(guard.code)


def changed(guard: Guard, folder: Path) -> Path:
    """Return the path for PYTHONPATH of a copy of the operator without the guard. Raises ValueError when it is not there."""
    copy = folder / "modelmill"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = copy / guard.file
    if places(guard) != 1:
        raise ValueError(f"{guard.file} has the guard {places(guard)} times: {guard.code!r}")
    path.write_text(path.read_text().replace(guard.code, guard.without))
    return folder


def caught(guard: Guard, share: float) -> str | None:
    """Return the first crash plan that fails without the guard and why, or None."""
    with tempfile.TemporaryDirectory(prefix="modelmill-guard-") as folder:
        paths = f"{changed(guard, Path(folder))}:{ROOT}"
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [sys.executable, "-m", "tests.crash.first_problem", str(share), guard.near]
        done = subprocess.run(
            argv, env=environment, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    if done.returncode not in (0, FOUND):
        raise RuntimeError(f"{guard.what}: {done.stderr[-2000:]}")
    return done.stdout.strip() if done.returncode else None


def main(argv: Sequence[str] | None = None) -> int:
    """Print for each guard which crash plan caught that it was taken out; return 1 when none did for one of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the crash plans to play")
    parser.add_argument("--only", default="", help="guards whose description has these words")
    options = parser.parse_args(argv)
    guards = [guard for guard in GUARDS if options.only in guard.what]
    unnoticed = 0
    with ThreadPoolExecutor(2) as pool:
        for guard, problem in zip_longest(guards, pool.map(lambda one: caught(one, options.share), guards)):
            unnoticed += problem is None
            print(f"{'caught' if problem else 'NOT NOTICED'}: {guard.what}\n    {problem or ''}", flush=True)
    print(f"taken out: {len(guards)} guards; caught: {len(guards) - unnoticed}; not noticed: {unnoticed}")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
