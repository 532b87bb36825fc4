"""Mutations of the corpus of hostile streams, by the thousand each second; MODELMILL_EDGE_SECONDS sets for how long."""

from __future__ import annotations

import os
import random

import pytest

from tests.edge.corpus import ALL
from tests.edge.fuzzing import LONGEST, Fuzzer, Trial, check

SECONDS = float(os.environ.get("MODELMILL_EDGE_SECONDS", "6"))
SEED = int(os.environ.get("MODELMILL_EDGE_SEED", "20261121"))
ROWS = {stream.name: stream.data() for stream in ALL}


async def test_every_row_holds_as_it_is() -> None:
    for name, data in ROWS.items():
        in_two = (len(data) // 2,) if len(data) > 1 else ()
        for cuts, end in (((), "half"), (in_two, "expire")):
            try:
                await check(Trial(data, cuts, end))
            except Exception as error:
                pytest.fail(f"{name}: {error!r}")


async def test_mutations_hold() -> None:
    fuzzer = Fuzzer([data for data in ROWS.values() if len(data) < LONGEST // 4], random.Random(SEED))
    await fuzzer.run(SECONDS)
    assert fuzzer.tried > 100 * min(SECONDS, 60)
    assert fuzzer.kept > 20
    print(f"{fuzzer.tried} inputs, {fuzzer.kept} kept")
