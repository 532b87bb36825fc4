"""The operator with shorter waits, whose pods are on loopback: `python -m tests.support.quick_operator`.

Plans of faults wait for its back-offs hundreds of times; with `MODELMILL_REAL_WAITS` waits stay as they are.
`MODELMILL_POD_PORT` is where the stubbed pods answer; the operator asks no pod on loopback otherwise. Nothing else is different
from `python -m modelmill.app`.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any

import aiohttp

from modelmill import app
from modelmill.engine import client, queue
from modelmill.measuring import scrape
from modelmill.monitoring import part as monitoring
from modelmill.serving.rollout import tracks

SHORTER = (
    (queue, "BACKOFF_LAST", 4.0),
    (queue, "BACKOFF_PASSING", 4.0),
    (client, "TIMEOUT", aiohttp.ClientTimeout(total=5, sock_connect=5)),
    (tracks, "DRAIN_SECONDS", 2),
    (monitoring, "MOST_SECONDS", 2.0),
)
"""Module, constant, value."""


def main() -> int:
    """Run the operator until SIGTERM; return the exit code."""
    addresses = (scrape, "host_of", lambda pod: (pod.get("status") or {}).get("podIP"))
    scraper = (app, "Scraper", partial(scrape.Scraper, int(os.environ["MODELMILL_POD_PORT"])))
    shorter = () if "MODELMILL_REAL_WAITS" in os.environ else SHORTER
    pages = (app, "PageScraper", partial(scrape.PageScraper, port=int(os.environ["MODELMILL_POD_PORT"])))
    for module, name, value in (*shorter, addresses, scraper, pages):
        _replace(module, name, value)
    return app.main()


def _replace(module: Any, name: str, value: Any) -> None:
    if not hasattr(module, name):
        raise AttributeError(f"{module.__name__} has no {name} whose place could be taken")
    setattr(module, name, value)


if __name__ == "__main__":
    sys.exit(main())
