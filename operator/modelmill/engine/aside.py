"""Makes the children of a plan that come after its status, each by itself, and tries the refused ones again.

A parent is planned for many reasons, and what a person must mend is not mended by any of them: a refused child has a back-off
of its own, during which it counts as refused without being asked for. A child that is wanted in another way is tried at once,
but one whose content changes by itself, and so is one whose name an object had that has changed.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from modelmill.engine.errors import EngineError
from modelmill.engine.interface import Aside, Event
from modelmill.engine.queue import backoff, bounds
from modelmill.engine.refusals import MENDED_BY_A_PERSON, unforeseen
from modelmill.kube.objects import Manifest, Resource

Child = tuple[Resource, str, str]
"""Kind, namespace and name."""
Write = Callable[[Manifest, Manifest], Awaitable[None]]
"""Applies or creates a child for a parent (the first one)."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A child that was refused, after so many failures in a row before.

    wanted: tells manifests apart. until: time of the event loop before which it is not tried again. tried: whether it was
    refused in this plan.
    """

    aside: Aside
    child: Child
    error: EngineError
    wanted: int
    failures: int
    until: float
    tried: bool = True

    @property
    def seconds(self) -> float:
        """How long it is until the child may be tried again."""
        return max(self.until - _time(), 0.0)


class Asides:
    """The children aside of all parents. apply, create: write one; they raise EngineError. tell: posts an Event of a parent.

    child_of: of a manifest. sketch: what tells manifests apart.
    """

    def __init__(
        self,
        apply: Write,
        create: Write,
        tell: Callable[[Manifest, Event], None],
        child_of: Callable[[Manifest], Child],
        sketch: Callable[[Manifest], int],
    ) -> None:
        self._apply, self._create, self._tell = apply, create, tell
        self._child_of, self._sketch = child_of, sketch
        self._refused: dict[str, dict[Child, Refused]] = {}

    async def make(self, parent: Manifest, asides: Sequence[Aside]) -> Sequence[Refused]:
        """Make what is not there; return the first refused child of each."""
        outcomes = await asyncio.gather(*(self._make(parent, aside) for aside in asides), return_exceptions=True)
        refused = {}
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is not None:
                refused[outcome.child] = outcome
        self.forget_parent(parent)
        if refused:
            self._refused[parent["metadata"]["uid"]] = refused
        return list(refused.values())

    def forget_parent(self, parent: Manifest) -> None:
        """Forget what was refused of an object."""
        self._refused.pop(parent["metadata"]["uid"], None)

    def forget(self, child: Child) -> None:
        """Forget that a child was refused: what had its name has changed."""
        for refused in self._refused.values():
            refused.pop(child, None)

    async def _make(self, parent: Manifest, aside: Aside) -> Refused | None:
        writes = [*((self._apply, one) for one in aside.apply), *((self._create, one) for one in aside.create)]
        for write, manifest in writes:
            child, wanted = self._child_of(manifest), self._sketch(manifest)
            before = self._refused.get(parent["metadata"]["uid"], {}).get(child)
            if before is not None and before.wanted != wanted and not aside.changing:
                before = None
            if before is not None and before.seconds:
                return replace(before, aside=aside, tried=False)
            try:
                await write(parent, manifest)
            except Exception as failure:
                # What is raised after the status was written would be told in the place of what that says, and be overwritten
                # by it again: two writes without end.
                if not isinstance(failure, EngineError):
                    log.exception("child not made", child=manifest["metadata"]["name"])
                error = failure if isinstance(failure, EngineError) else unforeseen(failure)
                failures = before.failures + 1 if before is not None else 0
                refused = Refused(aside, child, error, wanted, failures, _time() + _delay(failures, error))
                self._told(parent, refused)
                return refused
        return None

    def _told(self, parent: Manifest, refused: Refused) -> None:
        error, (resource, namespace, name) = refused.error, refused.child
        if isinstance(error, MENDED_BY_A_PERSON):
            self._tell(parent, Event("Warning", type(error).__name__, str(error)))
        seconds = round(refused.seconds, 1)
        log.warning("child refused", child=f"{resource.kind} {namespace}/{name}", error=str(error), seconds=seconds)


def _delay(failures: int, error: EngineError) -> float:
    return backoff(failures, *bounds(error), jitter=random.random())  # noqa: S311 - jitter


def _time() -> float:
    return asyncio.get_running_loop().time()
