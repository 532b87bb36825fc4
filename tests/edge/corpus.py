"""The whole corpus."""

from __future__ import annotations

from dataclasses import replace

from tests.edge.chunks import CHUNKS
from tests.edge.contents import CONTENTS
from tests.edge.heads import HEADS
from tests.edge.lengths import LENGTHS
from tests.edge.offers import EXPECTATIONS, OFFERS
from tests.edge.pipelines import PIPELINES
from tests.edge.sizes import SIZES
from tests.edge.smuggling import SMUGGLING
from tests.edge.strangers import STRANGERS
from tests.edge.times import TIMES
from tests.edge.transfers import TRANSFERS

FAMILIES = {
    one.name: one
    for one in (
        LENGTHS,
        TRANSFERS,
        CHUNKS,
        SMUGGLING,
        HEADS,
        OFFERS,
        EXPECTATIONS,
        PIPELINES,
        SIZES,
        CONTENTS,
        STRANGERS,
        TIMES,
    )
}

ALL = tuple(replace(stream, name=f"{one.name}: {stream.name}") for one in FAMILIES.values() for stream in one.streams)
"""Every row, with its family in its name."""
