"""Zip archives of a stranger: sizes are read before anything is inflated.

Source: PKWARE APPNOTE 6.3.10, §4.3.7 (local file header).
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from modelmill.artifacts.limits import ArtifactInvalid, Limits

_HEADER = struct.Struct("<4s22xHH")
_ENCRYPTED = 1


class Archive:
    """An archive whose entries have plain, different names, do not overlap and are within the limits together.

    name: for errors. Raises ArtifactInvalid when it is none.
    """

    def __init__(self, stream: BinaryIO, name: str, limits: Limits) -> None:
        self.name = name
        self._stream = stream
        try:
            self._zip = ZipFile(stream)
        except (BadZipFile, ValueError, OSError, struct.error, EOFError, NotImplementedError) as error:
            raise ArtifactInvalid(f"{name} is no zip archive: {error}") from None
        self.entries: dict[str, ZipInfo] = {}
        self._require_entries(limits)

    @classmethod
    def of(cls, content: bytes, name: str, limits: Limits) -> Archive:
        """Return the archive that an entry of another one is."""
        return cls(io.BytesIO(content), name, limits)

    @classmethod
    def open(cls, path: Path, limits: Limits) -> Archive:
        """Return the archive in a file. Raises ArtifactInvalid."""
        stream = path.open("rb")
        try:
            return cls(stream, path.name, limits)
        except BaseException:
            stream.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._zip.close()
        self._stream.close()

    def read(self, entry: str) -> bytes:
        """Return an entry's content, inflated to the size that the archive says. Raises ArtifactInvalid when it has another."""
        info = self.entries.get(entry)
        if info is None:
            raise ArtifactInvalid(f"{self.name} has no {entry}")
        start = self._content_of(info)
        self._stream.seek(start)
        content = self._stream.read(info.compress_size)
        if info.compress_type == ZIP_DEFLATED:
            stream = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                content = stream.decompress(content, info.file_size + 1)
            except zlib.error as error:
                raise ArtifactInvalid(f"{self.name}: {entry} cannot be inflated: {error}") from None
            if not stream.eof and len(content) == info.file_size:
                stream.decompress(stream.unconsumed_tail, 1)
            if not stream.eof:
                raise ArtifactInvalid(
                    f"{self.name}: {entry} does not end at {info.file_size} bytes, as the archive says"
                )
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise ArtifactInvalid(f"{self.name}: {entry} has not the size and checksum that the archive says")
        return content

    def _content_of(self, info: ZipInfo) -> int:
        """Return where an entry's bytes begin."""
        self._stream.seek(info.header_offset)
        header = self._stream.read(_HEADER.size)
        if len(header) < _HEADER.size:
            raise ArtifactInvalid(f"{self.name}: {info.filename} begins beyond the end of the file")
        mark, name, extra = _HEADER.unpack(header)
        if mark != b"PK\x03\x04":
            raise ArtifactInvalid(f"{self.name}: {info.filename} has no header where the archive says")
        return int(info.header_offset + _HEADER.size + name + extra)

    def _require_entries(self, limits: Limits) -> None:
        listed = self._zip.infolist()
        if len(listed) > limits.entries:
            raise ArtifactInvalid(f"{self.name} has {len(listed)} entries: at most {limits.entries} are read")
        total = sum(info.file_size for info in listed)
        if total > limits.inflated:
            raise ArtifactInvalid(
                f"{self.name} has {total} bytes when it is inflated: at most {limits.inflated} are read"
            )
        free = 0
        for info in sorted(listed, key=lambda info: info.header_offset):
            _require_plain(self.name, info)
            if info.filename in self.entries:
                raise ArtifactInvalid(f"{self.name}: the entry {info.filename!r} is there twice")
            self.entries[info.filename] = info
            if info.header_offset < free:
                raise ArtifactInvalid(f"{self.name}: the entry {info.filename!r} overlaps another")
            free = self._content_of(info) + info.compress_size


def _require_plain(name: str, info: ZipInfo) -> None:
    entry = info.filename
    if not entry or "/" in entry or "\\" in entry or entry in (".", "..") or info.orig_filename != entry:
        raise ArtifactInvalid(f"{name}: the entry {entry!r} is not a plain name")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & _ENCRYPTED:
        raise ArtifactInvalid(f"{name}: the entry {entry!r} is neither stored nor deflated")
