"""Objects of one kind of which most are packed: a cache of a cluster is large, and few of its objects are looked at.

Objects of a kind are alike, so that one of them is the dictionary that the others are compressed with (RFC 1950, FDICT): a
Deployment of 9 kB takes some 500 bytes, where Python's dicts and strings take 40 kB.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from typing import Generic, TypeVar

import msgspec

from modelmill.kube.objects import Manifest

PLAIN = 128
"""Objects of a kind that are plain at a time: those that were looked at last."""

ALIKE = 32 * 1024
"""Bytes of the dictionary: deflate looks back no further (RFC 1951)."""

K = TypeVar("K", bound=Hashable)


class Packed(Generic[K]):
    """Objects by their place, none of which is ever changed. One that was packed meanwhile comes out as another, equal one."""

    def __init__(self, plain: int = PLAIN) -> None:
        self._most = plain
        # Looked at last is last. What is plain may be packed, too: then nothing is done when it becomes cold again.
        self._plain: dict[K, Manifest] = {}
        self._packed: dict[K, bytes] = {}
        self._alike = b""

    def __setitem__(self, place: K, obj: Manifest) -> None:
        self._packed.pop(place, None)
        self._warm(place, obj)

    def __getitem__(self, place: K) -> Manifest:
        """Return the object. Raises KeyError when there is none."""
        obj = self._plain.get(place)
        if obj is None:
            obj = self._unpack(self._packed[place])
        self._warm(place, obj)
        return obj

    def get(self, place: K) -> Manifest | None:
        """Return the object, or None."""
        return self[place] if place in self._plain or place in self._packed else None

    def pop(self, place: K) -> None:
        """Forget the object, if it is there."""
        self._plain.pop(place, None)
        self._packed.pop(place, None)

    def _warm(self, place: K, obj: Manifest) -> None:
        self._plain.pop(place, None)
        self._plain[place] = obj
        while len(self._plain) > self._most:
            cold = next(iter(self._plain))
            stays = self._plain.pop(cold)
            if cold not in self._packed:
                self._packed[cold] = self._pack(stays)

    def _pack(self, obj: Manifest) -> bytes:
        text = msgspec.json.encode(obj)
        self._alike = self._alike or text[-ALIKE:]
        packer = zlib.compressobj(1, memLevel=5, zdict=self._alike)
        return packer.compress(text) + packer.flush()

    def _unpack(self, packed: bytes) -> Manifest:
        obj: Manifest = msgspec.json.decode(zlib.decompressobj(zdict=self._alike).decompress(packed))
        return obj
