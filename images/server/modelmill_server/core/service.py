"""The one model of a server, and what answers for it to every protocol. Before `attach` it is not there yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from prometheus_client.core import Metric

from modelmill_server.core.admission import Admission
from modelmill_server.core.batching import Batcher
from modelmill_server.core.execution import Dialect, Execution, Given, Made
from modelmill_server.core.model import ServedModel
from modelmill_server.core.warmup import INLINE_BYTES, Pace
from modelmill_server.core.workers import Workers
from modelmill_server.queries.columns import RejectedError
from modelmill_server.settings import Settings
from modelmill_server.telemetry.counters import Monitor


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to answer."""

    model: ServedModel
    monitor: Monitor
    execution: Execution
    pace: Pace

    def families(self) -> list[Callable[[], Iterable[Metric]]]:
        """Return what yields the metrics of this model."""
        families = [self.monitor.families, self.execution.scores.families]
        payloads = self.execution.payloads
        return families if payloads is None else [*families, payloads.families]


class ModelService:
    """Runs queries where they belong: in a batch, on the event loop, or on a small pool of threads.

    why_not: why the model may not be asked; empty when it may. draining: every client is to come back on a new connection.
    workers: where calls run that would block the event loop for too long.
    """

    def __init__(self, settings: Settings) -> None:
        self.admission = Admission(settings.max_concurrent)
        self.loaded: Loaded | None = None
        self.why_not = "the model is being loaded"
        self.draining = False
        self.workers = Workers(max(2, settings.threads), settings.request_seconds)
        self._batcher: Batcher | None = None
        self._inline_bytes = 0

    def attach(self, loaded: Loaded) -> None:
        """Take the model; requests may be let in once `open` was called."""
        self.loaded = loaded
        self._inline_bytes = loaded.pace.inline_bytes
        if loaded.pace.batches:
            self._batcher = Batcher(loaded.model.predict, self.workers, inline=self._inline_bytes > 0)
        self.admission.attach(loaded.monitor)

    def open(self) -> None:
        """Be ready: every protocol has the model."""
        self.why_not = ""

    @property
    def model_name(self) -> str:
        """The name of the model in paths; empty before `attach`."""
        return self.loaded.model.name if self.loaded is not None else ""

    @property
    def model_version(self) -> str:
        """The version in paths; empty before `attach`."""
        return self.loaded.model.version if self.loaded is not None else ""

    def check_name(self, name: str, version: str) -> None:
        """Raise RejectedError (404) unless this is the model, and the version, where one is asked for."""
        if name != self.model_name:
            raise RejectedError(404, f"unknown model {name[:100]!r}: this server has {self.model_name!r}")
        if version and version != self.model_version:
            words = f"unknown version {version[:100]!r}: this server has {self.model_version!r}"
            if version.isdigit():
                words += "; versions have names here, not numbers: leave the version out to ask the one that is served"
            raise RejectedError(404, words)

    def fail(self, why: str) -> None:
        """Say in the readiness answer why the model will not be served."""
        self.why_not = why

    def drain(self) -> None:
        """Be not ready, and ask every client to come back on a new connection; requests are still answered."""
        self.draining = True
        self.why_not = "the server is shutting down"

    def perform(
        self, dialect: Dialect[Given, Made], given: Given, size: int, *, live: bool = True
    ) -> Made | Awaitable[Made]:
        """Return the answer to a request of `size` bytes, or what will return it. live: of a client, not mirrored.

        Both raise RejectedError, and whatever the model raises.
        """
        assert self.loaded is not None
        execution = self.loaded.execution
        if self._batcher is not None and size <= INLINE_BYTES:
            return execution.perform_joined(dialect, given, self._batcher, live=live)
        if size <= self._inline_bytes:
            return execution.perform(dialect, given, live=live)
        return self.in_pool(lambda: execution.perform(dialect, given, live=live))

    async def in_pool(self, compute: Callable[[], Made]) -> Made:
        """Return what `compute` returns or raises, run on the pool."""
        future = self.workers.call(compute)
        try:
            return await future
        finally:
            # Else an exception, its frames and the future hold each other, and the request, until the garbage collector comes.
            del future
