"""How the tests are shared out among the workers of one machine (pytest-xdist, `--dist loadscope`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parent
TOGETHER = (
    "tests/integration/engine", "tests/integration/server/clients", "tests/integration/store_faults",
    "tests/integration/trainer",
)  # fmt: skip
"""Folders whose tests share what is dear: an API server, environments of clients, a store. They stay on one worker."""
ORDER = ("e2e", "integration", "crash", "verdicts", "unit")
"""What waits most comes first, so that the others fill the time."""


class ByModule(LoadScopeScheduling):
    """Keeps the tests of a module, or of a folder of `TOGETHER`, on one worker and in their order."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return next((folder for folder in TOGETHER if path.startswith(f"{folder}/")), path)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule | None:
    """Share the tests out by module, in the order in which they were collected; one by one with `--dist load`."""
    if config.option.dist == "load":
        return None
    config.option.loadscopereorder = False
    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the end-to-end tests come first."""
    items.sort(key=lambda item: ORDER.index(item.path.relative_to(ROOT).parts[0]))
