"""How much memory loading a model may take, so that one that explodes is an error with words and not the end of the pod."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelmill_server.failure import StartError
from modelmill_server.settings import MEMORY_MAX, memory_limit

FLOOR, FACTOR = 2 << 30, 16  # without a limit of the container: bytes, and bytes for each byte of the model's file
UNTOUCHED = 512 << 20  # of libraries and stacks of threads, which count and take nothing
MIB = 1 << 20
# Words of the libraries and of Python when an allocation fails.
REFUSED = re.compile(r"alloc|MemoryError|out of memory", re.IGNORECASE)


def loading_bytes(file_bytes: int, path: Path = MEMORY_MAX) -> int:
    """Return how many bytes loading a file of this size may take: the container's limit, or a multiple of the file."""
    limit = memory_limit(path)
    return FLOOR + FACTOR * file_bytes if limit is None else limit


@contextmanager
def bounded(most: int) -> Iterator[None]:
    """Let this process write to at most `most` bytes more than it has. Raises StartError with the mend for a model beyond that.

    It is the data segment that is bounded (getrlimit(2), RLIMIT_DATA): private writable memory, whether or not it was touched.
    """
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = _data_bytes() + most + UNTOUCHED
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    try:
        yield
    except StartError as failure:
        if not REFUSED.search(failure.message):
            raise
        words = f"{failure.message}; loading may take {most // MIB} MiB: raise spec.runtime.resources.limits.memory"
        raise StartError(failure.reason, words, final=failure.final) from failure
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def _data_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0
