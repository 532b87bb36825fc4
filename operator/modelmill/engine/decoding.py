"""From the bytes of the API server to plain data: whole answers, pages of lists, lines of watch streams.

JSON is read by msgspec, strictly: NaN, infinity and text that is not UTF-8 are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from modelmill.kube.objects import Manifest, Resource

MAX_LINE = 8 * 1024 * 1024
"""Bytes of a line of a watch stream. An object in etcd has 1.5 MB at most, and JSON may say a byte of it by six."""


class Misshapen(ValueError):
    """A stream or an object that is not as the API server sends it."""


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Misshapen)
"""What the functions of this module raise for bytes that are no JSON, or another shape than the one that is asked for."""

whole: Callable[[bytes | msgspec.Raw], dict[str, Any]] = msgspec.json.Decoder(dict[str, Any]).decode
"""Return a JSON object as plain data."""


class ListMeta(msgspec.Struct, rename={"next": "continue"}):
    """`metadata` of a list."""

    next: str = ""
    resourceVersion: str = ""  # noqa: N815 - as it is called in JSON


class Page(msgspec.Struct, rename={"objects": "items"}):
    """A page of a list. Its objects are not decoded yet: bytes within those of the page."""

    metadata: ListMeta
    objects: list[msgspec.Raw] | None = None

    @property
    def items(self) -> Sequence[msgspec.Raw]:
        """The objects; an empty list may be null."""
        return self.objects or ()

    @property
    def version(self) -> str:
        """The resourceVersion of the list."""
        return self.metadata.resourceVersion

    @property
    def next(self) -> str:
        """The token of the next page; empty in the last one."""
        return self.metadata.next


class Line(msgspec.Struct):
    """A line of a watch stream. Its object is not decoded yet."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct):
    """The Status object with which the API server refuses."""

    reason: str = ""
    message: str = ""
    code: int = 0


class _Versioned(msgspec.Struct):
    resourceVersion: str  # noqa: N815 - as it is called in JSON


class _Bookmark(msgspec.Struct):
    metadata: _Versioned


page: Callable[[bytes], Page] = msgspec.json.Decoder(Page).decode
line: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode
status: Callable[[bytes | msgspec.Raw], Status] = msgspec.json.Decoder(Status).decode

_bookmark: Callable[[bytes | msgspec.Raw], _Bookmark] = msgspec.json.Decoder(_Bookmark).decode
_parts: Callable[[bytes | msgspec.Raw], dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any: Callable[[bytes | msgspec.Raw], Any] = msgspec.json.Decoder().decode

_Tree = dict[str, "_Tree"]
"""Paths by their parts; what ends in an empty one is left out."""


def version_in_bookmark(raw: bytes | msgspec.Raw) -> str:
    """Return the resourceVersion of a bookmark, whose object has nothing else."""
    return _bookmark(raw).metadata.resourceVersion


class Reader:
    """Reads objects of one kind without their `unread` parts (dotted paths): those are skipped in the bytes, never made."""

    def __init__(self, resource: Resource, unread: Iterable[str] = ()) -> None:
        self._resource = resource
        self._unread: _Tree = {}
        for path in unread:
            node = self._unread
            for name in path.split("."):
                node = node.setdefault(name, {})

    def __call__(self, raw: bytes | msgspec.Raw) -> Manifest:
        """Return the object. Raises one of UNREADABLE, also when it has not what every object in a namespace has."""
        obj = _without(raw, self._unread) if self._unread else whole(raw)
        meta = obj.get("metadata")
        if not isinstance(meta, dict) or not all(isinstance(meta.get(name), str) for name in _IDENTITY):
            raise Misshapen(f"{self._resource.kind} without name, namespace, uid or resourceVersion")
        # Items of a typed list carry neither apiVersion nor kind.
        obj.setdefault("apiVersion", self._resource.api_version)
        obj.setdefault("kind", self._resource.kind)
        return obj


_IDENTITY = ("name", "namespace", "uid", "resourceVersion")


def _without(raw: bytes | msgspec.Raw, unread: _Tree) -> dict[str, Any]:
    read: dict[str, Any] = {}
    for name, part in _parts(raw).items():
        inner = unread.get(name)
        if inner is None:
            read[name] = _any(part)
        elif inner:
            read[name] = _without(part, inner)
    return read


class Lines:
    """Cuts a stream of bytes into its lines."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Sequence[bytes]:
        """Take the next piece, cut anywhere; return the lines that it ends. Raises Misshapen for one longer than MAX_LINE."""
        first, *others = piece.split(b"\n")
        self._rest += first
        ended: list[bytes] = []
        if others:
            ended = [bytes(self._rest), *others[:-1]]
            self._rest = bytearray(others[-1])
        if len(self._rest) > MAX_LINE:
            raise Misshapen(f"a line of more than {MAX_LINE} bytes")
        return ended

    def end(self) -> None:
        """Take the end of the stream. Raises Misshapen when it is in the middle of a line."""
        if self._rest:
            raise Misshapen("a line that has no end")
