"""Where queries run."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from pathlib import Path

from modelmill_server.core.service import ModelService
from modelmill_server.queries.columns import RejectedError, bad
from modelmill_server.settings import Settings


class Large:
    """Stands for what a request becomes."""


def test_nothing_of_a_refused_request_waits_for_the_garbage_collector() -> None:
    kept: list[weakref.ref[Large]] = []

    def refuse() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        raise bad("no")

    async def ask() -> None:
        coming = service.in_pool(refuse)
        try:
            await coming
        except RejectedError:
            return

    service = ModelService(Settings(Path("unused")))
    gc.collect()
    gc.disable()
    try:
        asyncio.run(ask())
        limit = time.monotonic() + 5  # the thread lets go of it a moment later
        while kept[0]() is not None and time.monotonic() < limit:
            time.sleep(0.01)
        assert kept[0]() is None
    finally:
        gc.enable()
