"""The real store, and one run that went well, for all cells."""

from __future__ import annotations

import os
import sys
from multiprocessing import forkserver
from pathlib import Path

import pytest

from tests.integration.store_faults import programs
from tests.integration.store_faults.cells import Surroundings
from tests.support.stages import BUCKET, gateway, s3_client

__all__ = ["gateway"]


@pytest.fixture(scope="session")
def surroundings(gateway: str, tmp_path_factory: pytest.TempPathFactory) -> Surroundings:
    """Return what all cells share."""
    # The process that the programs are forked from finds its modules by the environment alone.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    programs.preload()
    forkserver.ensure_running()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before
    s3_client(gateway).create_bucket(Bucket=BUCKET)
    return Surroundings(gateway, Path(tmp_path_factory.mktemp("cells")))
