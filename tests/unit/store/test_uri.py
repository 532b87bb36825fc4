"""Addresses: what they name, and every way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelmill.store.errors import ADDRESS_INVALID, StoreError
from modelmill.store.uri import FileUri, S3Uri, check_name, join, parse_uri


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://mill/cars", S3Uri("mill", "cars")),
        ("s3://mill/cars/", S3Uri("mill", "cars")),
        ("s3://mill//cars//", S3Uri("mill", "cars")),
        ("s3://mill", S3Uri("mill", "")),
        ("s3://mill/", S3Uri("mill", "")),
        ("S3://mill/a", S3Uri("mill", "a")),
        ("s3://my.data-1/a b/%41?x=1#y", S3Uri("my.data-1", "a b/%41?x=1#y")),
        ("s3://mill/a//b", S3Uri("mill", "a//b")),
        ("s3://mill/żółw/ﬁ/e\u0301", S3Uri("mill", "żółw/ﬁ/e\u0301")),
        ("s3://mill/a..b/...", S3Uri("mill", "a..b/...")),
        ("s3://Old_Bucket/x", S3Uri("Old_Bucket", "x")),
        ("file:///data", FileUri(Path("/data"))),
        ("file:///data/", FileUri(Path("/data"))),
        ("FILE:///data", FileUri(Path("/data"))),
        ("file:////data//x", FileUri(Path("/data/x"))),
        ("file:///a%20b/%C3%BC%3F", FileUri(Path("/a b/ü?"))),
        ("file:///100%", FileUri(Path("/100%"))),
        ("file:///", FileUri(Path("/"))),
    ],
)
def test_what_an_address_names(uri: str, expected: S3Uri | FileUri) -> None:
    assert parse_uri(uri) == expected


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "no scheme"),
        ("/data", "no scheme"),
        ("cars", "no scheme"),
        ("s3:/mill/x", "no scheme"),
        ("file:/data", "no scheme"),
        ("http://host/x", "'http'"),
        ("://x", "''"),
        (" s3://mill/x", "space"),
        ("s3://mill/x ", "space"),
        ("s3://mill/a\nb", "control"),
        ("s3://mill/a\tb", "control"),
        ("s3://mill/\x00", "control"),
        ("file:///a\nb", "control"),
        ("s3://", "no bucket"),
        ("s3:///cars", "no bucket"),
        ("s3://b/cars", "'b' cannot be a bucket"),
        ("s3://-mill/cars", "cannot be a bucket"),
        ("s3://mill./cars", "cannot be a bucket"),
        ("s3://mi..ll/cars", "cannot be a bucket"),
        ("s3://../cars", "cannot be a bucket"),
        ("s3://10.0.0.1/cars", "cannot be a bucket"),
        ("s3://mill:9000/cars", "cannot be a bucket"),
        ("s3://mill?x/cars", "cannot be a bucket"),
        ("s3://mi%6Cl/cars", "cannot be a bucket"),
        ("s3://młyn/cars", "cannot be a bucket"),
        ("s3://arn:aws:s3:eu-west-1:1:accesspoint/x", "cannot be a bucket"),
        ("s3://" + "b" * 256, "cannot be a bucket"),
        ("s3://mill/../other", "as a part"),
        ("s3://mill/a/..", "as a part"),
        ("s3://mill/./a", "as a part"),
        ("s3://mill/" + "ü" * 513, "1026 bytes"),
        ("s3://mill/\ud800", "not Unicode"),
        ("file://host/x", "three slashes"),
        ("file://localhost/x", "three slashes"),
        ("file://", "three slashes"),
        ("file:///a?b", "%3F"),
        ("file:///a#b", "%23"),
        ("file:///a/../b", "as a part"),
        ("file:///a/%2e%2E/b", "as a part"),
        ("file:///a%2Fb", "slash"),
        ("file:///a%00b", "NUL"),
        ("file:///a%ff", "UTF-8"),
    ],
)
def test_what_is_no_address(uri: str, said: str) -> None:
    with pytest.raises(StoreError, match="s3://BUCKET/PREFIX or file:///FOLDER") as caught:
        parse_uri(uri)
    assert (caught.value.reason, caught.value.final) == (ADDRESS_INVALID, True)
    assert said in caught.value.message
    assert caught.value.message.isprintable()


def test_credentials_in_an_address_are_refused_and_not_shown() -> None:
    with pytest.raises(StoreError, match=r"store\.secretRef") as caught:
        parse_uri("s3://KEY:hidden@mill/cars")
    assert "hidden" not in str(caught.value)


@given(st.text(max_size=40), st.sampled_from(["", "s3://", "file:///", "s3://mill/", "file://"]))
def test_any_text_is_an_address_or_refused(text: str, begin: str) -> None:
    try:
        address = parse_uri(begin + text)
    except StoreError:
        return
    if isinstance(address, FileUri):
        assert address.path.is_absolute()
        assert ".." not in address.path.parts
    else:
        assert "/" not in address.bucket
        assert ".." not in address.prefix.split("/")
        assert address.prefix == address.prefix.strip("/")


def test_join() -> None:
    assert join("s3://mill/models/", "ns", "cars") == "s3://mill/models/ns/cars"
    assert join("s3://mill", "ns") == "s3://mill/ns"


@pytest.mark.parametrize("name", ["a", "a/b", "a b", "ü", "..a", "a\nb", "a\\b", ".part"])
def test_names_that_stay_in_their_folder(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "/", "/etc/passwd", "../x", "a/../../x", "a/..", ".", "a//b", "a/", "a\0b"])
def test_names_that_leave_their_folder(name: str) -> None:
    with pytest.raises(StoreError, match="does not stay") as caught:
        check_name(name)
    assert caught.value.reason == ADDRESS_INVALID
