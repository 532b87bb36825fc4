"""A folder on disk, e.g. a mounted volume."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelmill.store.errors import AUTH_FAILED, OBJECT_NOT_FOUND, TOO_MANY_OBJECTS, StoreError, in_the_way, of_os_error
from modelmill.store.folder import CHUNK, MAX_OBJECTS, Entry
from modelmill.store.uri import check_name

# What file systems without hard links answer: those of some network volumes and of FUSE.
NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})

# What a listing leaves out: links to nowhere and in a circle, and what is gone since.
NOWHERE = frozenset({errno.ENOENT, errno.ELOOP})


class FileFolder:
    """A folder on disk; its address may also name a single file.

    A link that leads out of the folder is refused: whoever fills a volume could else read and overwrite what only the pod
    that mounts it may, its credentials among that. Links to folders are not followed by a listing.
    """

    def __init__(self, uri: str, path: Path) -> None:
        self.uri = uri
        self._path = path

    def entries(self) -> list[Entry]:
        """Return every file below the folder, none when there is no folder; raises StoreError rather than leave one out."""
        if self._path.is_file():
            state = self._path.stat()
            return [Entry("", state.st_size, written=state.st_mtime)]
        found: list[Entry] = []
        for place, _, files in os.walk(self._path, onerror=self._not_listed):
            for name in files:
                path = Path(place, name)
                with _told(path):
                    try:
                        state = path.stat()
                    except OSError as error:
                        if error.errno in NOWHERE:
                            continue
                        raise
                if path.is_symlink():
                    self._require_inside(path)
                if stat.S_ISREG(state.st_mode):
                    relative = path.relative_to(self._path).as_posix()
                    found.append(Entry(relative, state.st_size, written=state.st_mtime))
            if len(found) > MAX_OBJECTS:
                raise StoreError(TOO_MANY_OBJECTS, f"{self._path} has more than {MAX_OBJECTS} files: name a part of it")
        return sorted(found, key=lambda entry: entry.name)

    def check_bucket(self) -> None:
        """Accept every folder: one that is missing is made when it is written to."""

    def size(self, name: str) -> int | None:
        """Return the file's size; None when there is no such file."""
        path = self._file(name)
        with _told(path):
            self._require_inside(path)
            try:
                state = path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            return state.st_size if stat.S_ISREG(state.st_mode) else None

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield the file's content."""
        path = self._file(name)
        with _told(path):
            self._require_inside(path)
            # Opening a pipe would wait for its writer.
            if not stat.S_ISREG(path.stat().st_mode):
                raise StoreError(OBJECT_NOT_FOUND, f"{path} is not a regular file")
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk

    def create(self, name: str, source: bytes | Path) -> bool:
        """Write a file whole or not at all."""
        path = self._file(check_name(name))
        with _told(path):
            self._make_parent(path)
            try:
                write_whole(path, source, _link_new)
            except FileExistsError:
                if path.is_dir():
                    raise in_the_way(path) from None
                return False
        return True

    def remove(self, name: str) -> None:
        """Delete a file; of a link that leads elsewhere, the link."""
        path = self._file(check_name(name))
        with _told(path):
            self._require_inside(path.parent)
            path.unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._path / check_name(name) if name else self._path

    def _make_parent(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise in_the_way(path) from None
        self._require_inside(path.parent)

    def _require_inside(self, path: Path) -> None:
        # Path.resolve raises where links go in a circle.
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._path)):
            raise StoreError(AUTH_FAILED, f"{path} is a link that leads out of {self._path}: put the file itself there")

    def _not_listed(self, error: OSError) -> None:
        if not (isinstance(error, FileNotFoundError) and error.filename == str(self._path)):
            raise of_os_error(Path(error.filename or self._path), error) from None


def write_whole(path: Path, source: bytes | Path, place: Callable[[Path, Path], None]) -> None:
    """Write a file under a hidden name beside its own, sync it, and let `place(hidden, path)` name it. Raises OSError."""
    # Pods that share a volume have the same process ids.
    partial = path.with_name(f".{os.urandom(8).hex()}.part")
    try:
        with partial.open("xb") as stream:
            if isinstance(source, bytes):
                stream.write(source)
            else:
                with source.open("rb") as content:
                    shutil.copyfileobj(content, stream, CHUNK)
            stream.flush()
            os.fsync(stream.fileno())
        place(partial, path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _link_new(partial: Path, path: Path) -> None:
    """Name the file `path` unless that exists. Raises FileExistsError."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.rename(partial, path)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise of_os_error(path, error) from None
