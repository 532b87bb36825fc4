"""How the tests are shared out among the workers of one machine (pytest-xdist, `--dist loadgroup`)."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.support")

ROOT = Path(__file__).resolve().parent
TOGETHER = ("integration/engine", "integration/server/clients", "integration/trainer")
"""Folders whose tests share what is dear: an API server, environments of clients. They stay on one worker."""
ORDER = ("e2e", "integration", "unit")
"""What waits most comes first, so that the others fill the time."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a module, or of a folder that shares something, on one worker; end-to-end tests come first."""
    for item in items:
        path = item.path.relative_to(ROOT).as_posix()
        folder = next((one for one in TOGETHER if path.startswith(one)), path)
        item.add_marker(pytest.mark.xdist_group(folder))
    items.sort(key=lambda item: ORDER.index(item.path.relative_to(ROOT).parts[0]))
