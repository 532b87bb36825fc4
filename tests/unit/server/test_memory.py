"""How much memory loading may take."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest

from modelmill_server.failure import StartError
from modelmill_server.memory import FLOOR, bounded, loading_bytes

GIB = 1 << 30


@pytest.mark.parametrize(("text", "expected"), [("1073741824\n", GIB), ("max\n", FLOOR + 16_000), ("", FLOOR + 16_000)])
def test_what_loading_may_take(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "memory.max").write_text(text)
    assert loading_bytes(1000, tmp_path / "memory.max") == expected
    assert loading_bytes(1000, tmp_path / "none") == FLOOR + 16_000


def load_too_much() -> None:
    try:
        np.empty(4 * GIB, np.uint8)
    except MemoryError as error:
        raise StartError("ModelLoadFailed", str(error)) from error


def test_the_mend_is_told_where_memory_was_refused_and_nowhere_else() -> None:
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    words = r"Unable to allocate .*; loading may take 1 MiB: raise spec\.runtime\.resources"
    with pytest.raises(StartError, match=words), bounded(1 << 20):
        load_too_much()
    with pytest.raises(StartError, match=r"^the signature needs outputs$"), bounded(1 << 20):
        raise StartError("ModelLoadFailed", "the signature needs outputs")
    assert resource.getrlimit(resource.RLIMIT_DATA) == limits
    assert np.ones(1 << 20, np.uint8).sum() == 1 << 20
