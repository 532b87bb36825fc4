"""How large an artifact may be, and the error that says what is wrong with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MAX_WORDS = 300


class ArtifactInvalid(Exception):
    """A file is not what its format allows: one line that names the file, the field and what is wrong."""

    def __init__(self, message: str) -> None:
        printable = "".join(letter if letter.isprintable() else "?" for letter in " ".join(message.split()))
        super().__init__(printable if len(printable) <= MAX_WORDS else f"{printable[: MAX_WORDS - 1]}…")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of what a file may bring into memory, in bytes where nothing else is said.

    file: a model file. inflated: all entries of an archive together, unpacked. document: a JSON document, schema.json among
    them. entries: of an archive. depth: of nested JSON, UBJSON, objects of a skops file or graphs of ONNX. nodes: objects of
    a skops file, or operators of an ONNX graph. elements: of one tensor that an ONNX graph makes out of constants.
    """

    file: int = 4 << 30
    inflated: int = 4 << 30
    document: int = 64 << 20
    entries: int = 200_000
    depth: int = 200
    nodes: int = 400_000
    elements: int = 1 << 26


LIMITS = Limits()


def require_size(path: Path, most: int) -> int:
    """Return a file's size. Raises ArtifactInvalid when it is no regular file, a link among them, or too large."""
    if path.is_symlink() or not path.is_file():
        raise ArtifactInvalid(f"{path.name} is no regular file")
    size = path.stat().st_size
    if size > most:
        raise ArtifactInvalid(f"{path.name} has {size} bytes: at most {most} are read")
    return size
