"""The process: login, health, election, watches and the control loop, from start to SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
import uvloop

from modelmill.engine.cache import Cache
from modelmill.engine.client import Client
from modelmill.engine.election import Election
from modelmill.engine.errors import HistorySetBack
from modelmill.engine.events import EventRecorder
from modelmill.engine.executor import Executor
from modelmill.engine.fence import Fenced, set_alarm
from modelmill.engine.health import Handler, Health, serve
from modelmill.engine.interface import Watch
from modelmill.engine.known import Known
from modelmill.engine.login import login
from modelmill.engine.reflector import Reflectors
from modelmill.engine.runtime import ControlLoop
from modelmill.engine.table import Controller
from modelmill.engine.unwatched import Unwatched
from modelmill.kube.texts import fitted

log = structlog.get_logger(__name__)

Routes = Sequence[tuple[str, str, Handler]]
STOP_SECONDS = 1.0
MAX_LOGGED = 2000
"""Characters of one text in a log record."""
OTHER_FILES = 1024
"""Open files beside the watch streams: connections of requests, of probes and of alerts, and those of the process."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the process runs.

    namespaces: watched ones; empty means all. identity: name of this process in the Lease, the pod's name.
    """

    namespaces: Sequence[str] = ()
    lease_namespace: str = "default"
    lease_name: str = "modelmill-operator"
    identity: str = "local"
    port: int = 8080


def run(
    controllers: Callable[[Client], Sequence[Controller]],
    watches: Sequence[Watch],
    settings: Settings,
    routes: Callable[[Client], Routes] = lambda _: (),
) -> None:
    """Run until SIGTERM or SIGINT. `controllers` and `routes` get the client.

    `routes` returns what the HTTP server answers beside the probes.
    Raises LoginError when there is no API server to talk to, SystemExit(1) when the API server was set back.
    """
    configure_logging()
    try:
        uvloop.run(_main(controllers, watches, settings, routes))
    except BaseExceptionGroup as group:
        found = group.subgroup(HistorySetBack)
        if found is None:
            raise
        log.critical("the API server was set back; the process ends to begin anew", reason=str(_first(found)))
        raise SystemExit(1) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def fit_texts(_: object, __: str, record: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Make every text of a log record fit: what pods, alerts and other programs say is in them. Traces come later."""
    return {name: fitted(value, MAX_LOGGED) if isinstance(value, str) else value for name, value in record.items()}


def configure_logging() -> None:
    """One JSON object a line on standard error, for our records and for those of aiohttp and asyncio."""
    stamps: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        fit_texts,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*stamps, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    others = logging.StreamHandler(sys.stderr)
    others.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *stamps],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[others])


async def _main(
    controllers: Callable[[Client], Sequence[Controller]],
    watches: Sequence[Watch],
    settings: Settings,
    routes: Callable[[Client], Routes],
) -> None:
    stop = asyncio.Event()
    identity = login()
    # The renewals of the lease have connections of their own: behind slow writes they would come too late.
    client, election_client = Client(identity), Client(identity)
    health = Health()
    server = await serve(health, settings.port, routes(client))
    election = Election(
        election_client, settings.lease_namespace, settings.lease_name, settings.identity, alarm=set_alarm
    )
    process = _Process(client, election, health, settings, stop)
    process.handle_signals()
    work = asyncio.create_task(process.lead(controllers(client), watches))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
    failure = work.exception() if work.done() else None
    work.cancel()
    await asyncio.wait((work,), timeout=STOP_SECONDS)
    await election.release()
    await server.cleanup()
    await client.close()
    await election_client.close()
    if failure is not None:
        raise failure


@dataclass(frozen=True, slots=True)
class _Process:
    """What the tasks of one process share."""

    client: Client
    election: Election
    health: Health
    settings: Settings
    stop: asyncio.Event

    def handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)

    async def lead(self, controllers: Sequence[Controller], watches: Sequence[Watch]) -> None:
        """Stand by until this process leads, then work until it is cancelled."""
        cache = Cache(
            {watch.resource: watch.index_labels for watch in watches},
            unread={watch.resource: watch.unread for watch in watches},
            indexes={watch.resource: watch.indexes for watch in watches},
            reduced={watch.resource: watch.reduced for watch in watches},
        )
        fenced = Fenced(self.client, self.election.fence)
        self.election.on_renewed = fenced.extend
        events = EventRecorder(fenced, self.settings.identity)
        executor = Executor(fenced, cache, events, [watch.resource for watch in watches])
        namespaces = self.settings.namespaces
        control = ControlLoop(fenced, cache, executor, controllers, namespaces)
        events.others_wait = lambda: control.busy
        unwatched = Unwatched()
        reflectors = Reflectors(self.client, watches, namespaces, control, unwatched)
        _allow_open_files(len(reflectors) + OTHER_FILES)
        self.health.ready = lambda: (
            self.election.reached and (not self.election.leading or _can_work(control.known, unwatched))
        )
        self.health.closed_seconds = reflectors.closed_seconds
        self.health.unwatched = unwatched.words
        _tune_garbage_collection()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.health.heartbeat())
            await self.election.acquire()
            group.create_task(self.election.keep())
            group.create_task(events.run())
            group.create_task(reflectors.run())
            group.create_task(control.run())


def _can_work(known: Known, unwatched: Unwatched) -> bool:
    """Tell whether the start is over: some objects can be planned, and for the others nothing is waited for but a person."""
    return bool(known.planned) and not known.missing() - unwatched.places


def _allow_open_files(needed: int) -> None:
    """Raise the soft limit of open files, mostly 1024, to what is needed; the hard one is the administrator's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        if most < needed:
            log.warning("too few open files: watch fewer namespaces, or all of them", needed=needed, limit=most)


def _tune_garbage_collection() -> None:
    """Look for cycles less often: almost everything that lives long is in the cache, which has none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
