"""Addresses of bytes: s3://BUCKET/PREFIX and file:///FOLDER."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from modelmill.store.errors import ADDRESS_INVALID, StoreError

FORMS: Final = "s3://BUCKET/PREFIX or file:///FOLDER"
MAX_KEY_BYTES: Final = 1024  # of S3, in UTF-8
# S3's rule for new buckets has lower-case letters and up to 63; older buckets and other stores have more.
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_NUMBERS = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and the prefix of keys below it, which may also be a whole key; without slashes at its ends, empty for all."""

    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class FileUri:
    """An absolute path of a folder or a file."""

    path: Path


def parse_uri(uri: str) -> S3Uri | FileUri:
    """Return what an address names. Raises StoreError (AddressInvalid) with the address, what is wrong and the forms.

    s3://BUCKET/PREFIX: the prefix is taken as it stands, as every S3 tool does: `%41`, `?`, `#`, unicode and empty parts
    (`a//b`) are characters of the key; slashes at its ends do not count. file:///FOLDER: percent-encoded UTF-8 without query
    or fragment. In both, `.` and `..` as parts and control characters are refused: what lies between here and the bytes
    would disagree about them. The scheme may be in capitals.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        raise _invalid(uri, "it has no scheme")
    if uri != uri.strip():
        raise _invalid(uri, "a space begins or ends it")
    if any(ord(c) < 32 or ord(c) == 127 for c in uri):
        raise _invalid(uri, "it has a control character")
    if scheme.lower() == "s3":
        return _s3(uri, rest)
    if scheme.lower() == "file":
        return _file(uri, rest)
    raise _invalid(uri, f"its scheme is {scheme!r}")


def join(uri: str, *parts: str) -> str:
    """Return an address below `uri`."""
    return "/".join([uri.rstrip("/"), *parts])


def check_name(name: str) -> str:
    """Return the name of an object relative to its folder when it stays below it, on every disk and in every store.

    Raises StoreError (AddressInvalid) for an absolute one, one with `.`, `..` or empty parts, and one with a NUL.
    """
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise StoreError(ADDRESS_INVALID, f"the name {name!r} does not stay in its folder: rename the object")
    return name


def _s3(uri: str, rest: str) -> S3Uri:
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise _invalid(uri, "it names no bucket")
    if "@" in bucket:
        raise _invalid(uri, "credentials do not belong into it, but into the Secret that store.secretRef names")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket or _NUMBERS.fullmatch(bucket):
        raise _invalid(
            uri, f"{bucket!r} cannot be a bucket: names have 3 to 63 lower-case letters, digits, hyphens and dots"
        )
    prefix = prefix.strip("/")
    _check_parts(uri, prefix)
    try:
        length = len(prefix.encode())
    except UnicodeEncodeError:
        raise _invalid(uri, "it is not Unicode text") from None
    if length > MAX_KEY_BYTES:
        raise _invalid(f"{uri[:80]}…", f"the prefix has {length} bytes, a key at most {MAX_KEY_BYTES}")
    return S3Uri(bucket, prefix)


def _file(uri: str, rest: str) -> FileUri:
    if not rest.startswith("/"):
        raise _invalid(uri, "a file has no host: three slashes follow the scheme")
    if "?" in rest or "#" in rest:
        raise _invalid(uri, "a file has no query or fragment: write ? as %3F and # as %23")
    try:
        path = unquote(rest, errors="strict")
    except UnicodeDecodeError:
        raise _invalid(uri, "its percent-encoding is not UTF-8") from None
    if path.count("/") != rest.count("/") or "\0" in path:
        raise _invalid(uri, "no name of a file holds a slash or a NUL")
    _check_parts(uri, path)
    # Two slashes at the beginning mean something else to POSIX.
    return FileUri(Path("/" + path.lstrip("/")))


def _check_parts(uri: str, path: str) -> None:
    if any(part in (".", "..") for part in path.split("/")):
        raise _invalid(uri, "it has `.` or `..` as a part")


def _invalid(uri: str, problem: str) -> StoreError:
    return StoreError(ADDRESS_INVALID, f"{uri!r}: {problem}: use {FORMS}")
