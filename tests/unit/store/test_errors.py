"""The table of errors: each code, status and exception that a store is known to give, with reason, repeat and mend."""

from __future__ import annotations

import errno
from pathlib import Path

import botocore.exceptions as aws
import pytest
from botocore.parsers import ResponseParserError
from urllib3.exceptions import ProtocolError

from modelmill.store import errors
from modelmill.store.errors import StoreError, of_exception, of_os_error, of_response

WHERE = "s3://mill/cars/a.csv"


def refusal(code: str, status: int, message: str = "words of the store") -> StoreError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return of_response(WHERE, "mill", response)


@pytest.mark.parametrize(
    ("code", "status", "reason", "final", "mend"),
    [
        ("AccessDenied", 403, "StoreAuthFailed", True, "store.secretRef"),
        ("SignatureDoesNotMatch", 403, "StoreAuthFailed", True, "store.secretRef"),
        ("XAdminUserNotFound", 404, "StoreAuthFailed", True, "store.secretRef"),
        ("403", 403, "StoreAuthFailed", True, "store.secretRef"),
        ("", 401, "StoreAuthFailed", True, "store.secretRef"),
        ("SomethingNew", 403, "StoreAuthFailed", True, "store.secretRef"),
        ("AuthorizationHeaderMalformed", 400, "StoreAuthFailed", True, "store.region"),
        ("RequestTimeTooSkewed", 403, "StoreAuthFailed", True, "clock"),
        ("KMS.DisabledException", 400, "StoreAuthFailed", True, "encryption key"),
        ("NoSuchBucket", 404, "BucketNotFound", True, "create the bucket 'mill'"),
        ("InvalidBucketName", 400, "BucketNotFound", True, "correct the URI"),
        ("NoSuchKey", 404, "ObjectNotFound", True, "correct the URI"),
        ("404", 404, "ObjectNotFound", True, "correct the URI"),
        ("InvalidObjectState", 403, "ObjectNotFound", True, "archived"),
        ("PreconditionFailed", 412, "ObjectChanged", False, "overwritten"),
        ("412", 412, "ObjectChanged", False, "overwritten"),
        ("PermanentRedirect", 301, "StoreUnreachable", True, "store.region"),
        ("307", 307, "StoreUnreachable", False, "not followed"),
        ("SlowDown", 503, "StoreUnreachable", False, "store.endpoint"),
        ("InternalError", 500, "StoreUnreachable", False, "store.endpoint"),
        ("", 0, "StoreUnreachable", False, "store.endpoint"),
        ("BadDigest", 400, "StoreUnreachable", False, "store.endpoint"),
        ("MethodNotAllowed", 405, "StoreUnreachable", True, "store.endpoint"),
        ("NotImplemented", 501, "StoreUnreachable", True, "store.endpoint"),
        ("QuotaExceeded", 403, "StoreUnreachable", False, "make room"),
        ("XMinioStorageFull", 507, "StoreUnreachable", False, "make room"),
        ("EntityTooLarge", 400, "UploadFailed", True, "this size"),
        ("KeyTooLongError", 400, "AddressInvalid", True, "shorten"),
    ],
)
def test_a_refusal(code: str, status: int, reason: str, final: bool, mend: str) -> None:
    error = refusal(code, status)
    assert (error.reason, error.final) == (reason, final)
    assert error.message.startswith(f"{WHERE}: {code}".strip())
    assert f"words of the store (HTTP {status}): " in error.message
    assert mend in error.message.split(f"(HTTP {status}): ")[1]


def test_words_of_the_store_are_bounded_and_printable() -> None:
    error = refusal("SlowDown", 503, "a\nb\x1b[31m" + "x" * 100_000)
    assert "a b\\x1b[31m" in error.message
    assert len(error.message) < 1000


def test_a_refusal_without_anything() -> None:
    assert of_response(WHERE, "mill", {}).reason == "StoreUnreachable"


@pytest.mark.parametrize(
    ("error", "reason", "final", "said"),
    [
        (aws.NoCredentialsError(), "StoreAuthFailed", True, "AWS_SECRET_ACCESS_KEY"),
        (aws.PartialCredentialsError(provider="env", cred_var="x"), "StoreAuthFailed", True, "store.secretRef"),
        (aws.CredentialRetrievalError(provider="web", error_msg="x"), "StoreAuthFailed", False, "service account"),
        (aws.EndpointConnectionError(endpoint_url="u"), "StoreUnreachable", False, "does not answer"),
        (aws.ConnectTimeoutError(endpoint_url="u"), "StoreUnreachable", False, "does not answer"),
        (aws.ReadTimeoutError(endpoint_url="u"), "StoreUnreachable", False, "does not answer"),
        (aws.ConnectionClosedError(endpoint_url="u"), "StoreUnreachable", False, "does not answer"),
        (aws.ProxyConnectionError(proxy_url="u"), "StoreUnreachable", False, "does not answer"),
        (aws.SSLError(endpoint_url="u", error="x"), "StoreUnreachable", False, "AWS_CA_BUNDLE"),
        (aws.IncompleteReadError(actual_bytes=1, expected_bytes=2), "StoreUnreachable", False, "was cut"),
        (aws.ResponseStreamingError(error="x"), "StoreUnreachable", False, "was cut"),
        (ProtocolError("x"), "StoreUnreachable", False, "was cut"),
        (ResponseParserError("x"), "StoreUnreachable", False, "does not speak S3"),
        (aws.ParamValidationError(report="x"), "AddressInvalid", True, "correct the URI"),
        (aws.BotoCoreError(), "StoreUnreachable", False, "failed"),
    ],
)
def test_an_exception_of_the_client(error: Exception, reason: str, final: bool, said: str) -> None:
    found = of_exception(WHERE, "http://s3:7070", error)
    assert (found.reason, found.final) == (reason, final)
    assert found.message.startswith(f"{WHERE}: ")
    assert said in found.message
    assert "{" not in found.message
    if reason == "StoreUnreachable":
        assert "at http://s3:7070" in found.message


def test_every_exception_of_the_table_exists() -> None:
    """A name that botocore no longer has would silently mean "failed"."""
    from urllib3 import exceptions as urllib3

    known = {*vars(aws), *vars(urllib3), "ResponseParserError", "ValueError"}
    assert set(errors.BY_EXCEPTION) <= known


@pytest.mark.parametrize(
    ("number", "reason", "final"),
    [
        (errno.ENOENT, "ObjectNotFound", True),
        (errno.EISDIR, "ObjectNotFound", True),
        (errno.ENOTDIR, "ObjectNotFound", True),
        (errno.ELOOP, "ObjectNotFound", True),
        (errno.EACCES, "StoreAuthFailed", True),
        (errno.EROFS, "StoreAuthFailed", True),
        (errno.ENAMETOOLONG, "AddressInvalid", True),
        (errno.ENOSPC, "DiskFailed", False),
        (errno.EIO, "DiskFailed", False),
    ],
)
def test_an_error_of_a_folder(number: int, reason: str, final: bool) -> None:
    error = of_os_error(Path("/data/a.csv"), OSError(number, "words of the system"))
    assert (error.reason, error.final) == (reason, final)
    assert error.message.startswith("/data/a.csv ")
    assert "words of the system" in error.message


def test_credentials_of_an_endpoint_are_not_shown() -> None:
    error = of_exception(
        WHERE, "http://k:hidden@s3:70", aws.EndpointConnectionError(endpoint_url="http://k:hidden@s3:70")
    )
    assert "hidden" not in error.message
    assert "http://***@s3:70" in error.message
