"""Asks the process that suggests; it is there only while there are searches."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

from modelmill.tuning import worker
from modelmill.tuning.ledger import Entry
from modelmill.tuning.suggest import Search

TIMEOUT_SECONDS: Final = 120.0
"""For one request: TPE needs a quarter of a second after 1,000 trials, and two at 5,000."""
IDLE_SECONDS: Final = 60.0
"""After so long without a request the process ends."""
TRIES: Final = 2
"""A process that dies is started once more: the kernel may have taken its memory for another."""
GRACE_SECONDS: Final = 5.0
LONGEST_ANSWER: Final = 16 << 20
INHERITED: Final = ("PATH", "PYTHONSAFEPATH", "HOME")


class SamplerError(Exception):
    """No suggestion can be had; the text says why."""


class Sampler(Protocol):
    """Suggests the parameters of trials."""

    async def suggest(self, search: Search, entries: Sequence[Entry], count: int) -> list[dict[str, str]]:
        """Return the parameters of the next trials, fewer than `count` when the space is exhausted. Raises SamplerError."""


class InProcess:
    """Suggests at once, where nothing else waits: for tests and benchmarks."""

    async def suggest(self, search: Search, entries: Sequence[Entry], count: int) -> list[dict[str, str]]:
        """Return the parameters of the next trials; see `Sampler`."""
        return _read(worker.answer(worker.request(search, entries, count)))


class SamplerProcess:
    """Suggests in a process of its own: see `worker`. Requests wait for each other."""

    def __init__(self, argv: Sequence[str] = (sys.executable, "-m", worker.__name__)) -> None:
        self._argv = argv
        self._process: asyncio.subprocess.Process | None = None
        self._turn: asyncio.Lock | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def suggest(self, search: Search, entries: Sequence[Entry], count: int) -> list[dict[str, str]]:
        """Return the parameters of the next trials; see `Sampler`."""
        if self._turn is None:
            self._turn = asyncio.Lock()
        async with self._turn:
            line = worker.request(search, entries, count)
            for last in (False,) * (TRIES - 1) + (True,):
                try:
                    return _read(await self._asked(line))
                except ConnectionError as error:
                    code = await self._ended(GRACE_SECONDS)
                    if last:
                        raise SamplerError(f"the process that suggests ended with code {code}") from error
                except TimeoutError:
                    await self._ended()
                    text = f"the process that suggests gave no answer in {TIMEOUT_SECONDS:g} s"
                    raise SamplerError(text) from None
                except BaseException:
                    # Given up half-way, its next answer would be to this request.
                    await self._ended()
                    raise
        raise AssertionError("every try returns or raises")

    async def _asked(self, line: bytes) -> bytes:
        if self._idle is not None:
            self._idle.cancel()
        process = self._process
        if process is None or process.returncode is not None:
            environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
            # One request at a time: threads of linear algebra would only take memory.
            environment["OMP_NUM_THREADS"] = "1"
            process = self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=environment,
                limit=LONGEST_ANSWER,
            )
        if process.stdin is None or process.stdout is None:
            raise ConnectionError("no pipes")
        async with asyncio.timeout(TIMEOUT_SECONDS):
            process.stdin.write(line)
            await process.stdin.drain()
            answer = await process.stdout.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError("no answer")
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._let_go)
        return answer

    def _let_go(self) -> None:
        """Close its input, with which it ends."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    async def _ended(self, grace: float = 0.0) -> int:
        """Return the exit code of the process, which is killed when it does not end by itself in `grace` seconds."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                return await process.wait()
        with suppress(ProcessLookupError):
            process.kill()
        return await process.wait()


def _read(answer: bytes) -> list[dict[str, str]]:
    told = json.loads(answer)
    if "error" in told:
        raise SamplerError(told["error"])
    suggested: list[dict[str, str]] = told["suggested"]
    return suggested
