"""Files that somebody else's program left: read only when they are plain files, and never beyond a bound."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path


class NotPlain(ValueError):
    """What is there is a link, a pipe or another thing that is no file, or is too large; the text says which."""


@contextmanager
def open_plain(path: Path, limit: int) -> Iterator[BufferedReader]:
    """Open a file of at most `limit` bytes, following no link and waiting for nobody.

    Raises NotPlain, FileNotFoundError, or OSError.
    """
    if path.is_symlink():
        raise NotPlain(f"{path.name} is a link: leave a file")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link that came meanwhile; a socket
            raise NotPlain(f"{path.name} is no file: leave a file") from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise NotPlain(f"{path.name} is no file: leave a file")
    with os.fdopen(descriptor, "rb") as stream:
        if found.st_size > limit:
            raise NotPlain(f"{path.name} has {found.st_size} bytes: at most {limit} are read")
        yield stream


def read_plain(path: Path, limit: int) -> bytes:
    """Return the content of such a file. Raises as `open_plain` does."""
    with open_plain(path, limit) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise NotPlain(f"{path.name} grows while it is read: at most {limit} bytes are read")
    return content


def is_left(path: Path) -> bool:
    """Tell whether there is anything of this name, be it a link that leads nowhere."""
    return os.path.lexists(path)
