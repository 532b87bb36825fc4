"""A prefix of an S3 bucket as a Folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from modelmill.contracts import names
from modelmill.store.errors import (
    ADDRESS_INVALID,
    AUTH_FAILED,
    BUCKET_NOT_FOUND,
    TOO_MANY_OBJECTS,
    StoreError,
    changed,
    not_s3,
    of_exception,
    of_response,
)
from modelmill.store.folder import CHUNK, MAX_OBJECTS, Connection, Entry
from modelmill.store.uri import S3Uri, check_name

CONNECT_SECONDS = 5
# Without a byte. A store that sends one now and then is bounded by its pod's deadline only.
READ_SECONDS = 30
MAX_PAGES = 2_000  # of a listing, which may be empty ones
DEFAULT_REGION = "us-east-1"
PROFILE_FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
# 304 is what older MinIO releases answer to If-None-Match: *.
EXISTS_STATUS = frozenset({304, 412})
# Another writer is just doing the same; other codes with the status 409 mean other things.
EXISTS_CODES = frozenset({"ConditionalRequestConflict", "OperationAborted"})
UNSUPPORTED_STATUS = 501
# What is wrong with the keys themselves; other codes with the status 403 are about what they may do.
KEY_CODES = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)


class S3Folder:
    """Objects whose keys begin with a prefix. The address may also name a single object.

    A prefix is a folder: `cars` does not match `cars-old/`. Credentials are found as the AWS SDKs find them. May be used from
    several threads.
    """

    def __init__(self, uri: str, address: S3Uri, connection: Connection) -> None:
        """Raises StoreError (AddressInvalid) when the environment does not make a client."""
        self.uri = uri
        self._bucket, self._prefix = address.bucket, address.prefix
        self._client = connect(connection)
        self._endpoint = str(self._client.meta.endpoint_url or "")
        self._conditional: bool | None = None  # whether the store knows If-None-Match; None before the first object
        self._probe = threading.Lock()

    def entries(self) -> list[Entry]:
        """Return every object that is no mark of a folder (`a/`), page by page."""
        found: dict[str, Entry] = {}  # a store may list an object twice while it is overwritten
        with self._told(""):
            if self._prefix:
                # The first key in order is the prefix itself, if there is such an object.
                first = self._page(Prefix=self._prefix, MaxKeys=1).get("Contents", [])
                if not first:
                    return []
                if first[0]["Key"] == self._prefix:
                    found[""] = _entry("", first[0])
            prefix = f"{self._prefix}/" if self._prefix else ""
            for page in self._pages(prefix):
                for item in page.get("Contents", ()):
                    key = item["Key"]
                    if key.startswith(prefix) and not key.endswith("/"):
                        name = key.removeprefix(prefix)
                        found[name] = _entry(name, item)
                if len(found) > MAX_OBJECTS:
                    raise self._too_many()
        return sorted(found.values(), key=lambda entry: entry.name)

    def check_bucket(self) -> None:
        """Raise StoreError when there is no such bucket (BucketNotFound) or the keys are none of the store's (StoreAuthFailed).

        It lists one object. Keys that may write need not be allowed to list, so that a refusal of this request says nothing,
        as a failure of the store's does.
        """
        from botocore.exceptions import ClientError

        try:
            with self._told(""):
                try:
                    self._page(Prefix=self._prefix, MaxKeys=1)
                except ClientError as error:
                    if _status(error) != 403 or _code(error) in KEY_CODES:
                        raise
        except StoreError as error:
            if error.reason in (BUCKET_NOT_FOUND, AUTH_FAILED):
                raise

    def size(self, name: str) -> int | None:
        """Return the object's size by one HEAD."""
        with self._told(name):
            return self._size(name, forbidden=False)

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield the object's content; a connection that is cut is an error and never a short object."""
        condition = {"IfMatch": etag} if etag else {}
        with self._told(name):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), **condition)
            with closing(answer["Body"]) as body:
                # Some stores do not know the condition.
                if etag and _plain(answer.get("ETag", etag)) != _plain(etag):
                    raise changed(self._where(name))
                yield from body.iter_chunks(CHUNK)

    def create(self, name: str, source: bytes | Path) -> bool:
        """Put the object on condition that it does not exist, or after a look where the store knows no conditions.

        Which of the two holds is tried with the first object that is created: some stores refuse the condition, others ignore
        it, and then a second conditional write of the same bytes succeeds.
        """
        check_name(name)
        with self._told(name):
            if self._conditional is None:
                with self._probe:
                    if self._conditional is None:
                        return self._create_first(name, source)
            if self._conditional:
                return self._put_new(name, source)
            if self._exists(name):
                return False
            self._put(name, source)
            return True

    def remove(self, name: str) -> None:
        """Delete the object; in a bucket that keeps versions, an older one of it stays. Stores answer the same without one."""
        check_name(name)
        with self._told(name):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def put(self, name: str, content: bytes, content_type: str) -> None:
        """Put the object, in place of one that exists."""
        check_name(name)
        with self._told(name):
            self._put(name, content, ContentType=content_type)

    def _create_first(self, name: str, source: bytes | Path) -> bool:
        from botocore.exceptions import ClientError

        if self._exists(name, forbidden=False):
            return False
        try:
            created = self._put_new(name, source)
        except ClientError as error:
            if not _unsupported(error):
                raise
            self._conditional = False
            self._put(name, source)
            return True
        self._conditional = not created or not self._put_new(name, source)
        return created

    def _put_new(self, name: str, source: bytes | Path) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._put(name, source, IfNoneMatch="*")
        except ClientError as error:
            if _status(error) in EXISTS_STATUS or _code(error) in EXISTS_CODES:
                return False
            raise
        return True

    def _put(self, name: str, source: bytes | Path, **options: str) -> None:
        key = self._key(name)
        if isinstance(source, bytes):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=source, **options)
            return
        with source.open("rb") as stream:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=stream, **options)

    def _exists(self, name: str, *, forbidden: bool = True) -> bool:
        return self._size(name, forbidden=forbidden) is not None

    def _size(self, name: str, *, forbidden: bool) -> int | None:
        """Return the object's size, None when it is not there.

        Without s3:ListBucket a missing object is a 403: an error, or with `forbidden` False as good as absent.
        """
        from botocore.exceptions import ClientError

        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except ClientError as error:
            if _status(error) == 404 or (_status(error) == 403 and not forbidden):
                return None
            raise
        return int(answer.get("ContentLength", 0))

    def _pages(self, prefix: str) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        for _ in range(MAX_PAGES):
            page = self._page(Prefix=prefix, **token)
            yield page
            if not page["IsTruncated"]:
                return
            following = page.get("NextContinuationToken")
            if not following or following == token.get("ContinuationToken"):
                raise not_s3(self._where(""), self._endpoint, "its listing goes on and has no next page")
            token = {"ContinuationToken": following}
        raise self._too_many()

    def _page(self, **options: Any) -> dict[str, Any]:
        try:
            page: dict[str, Any] = self._client.list_objects_v2(Bucket=self._bucket, **options)
        except ValueError as error:  # a size that is no number, a date that is none
            raise not_s3(self._where(""), self._endpoint, str(error)) from None
        # A web page that happens to be XML has nothing in it either.
        items = page.get("Contents", ())
        if "IsTruncated" not in page or any("Key" not in item or item.get("Size", -1) < 0 for item in items):
            raise not_s3(self._where(""), self._endpoint, "it answers no listing")
        return page

    def _too_many(self) -> StoreError:
        text = f"{self._where('')} has more than {MAX_OBJECTS} objects: name a narrower prefix, or join small objects"
        return StoreError(TOO_MANY_OBJECTS, text)

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)

    def _where(self, name: str) -> str:
        return f"s3://{self._bucket}/{self._key(name)}"

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError

        try:
            yield
        except ClientError as error:
            raise of_response(self._where(name), self._bucket, error.response) from None
        except (BotoCoreError, ResponseParserError, HTTPError) as error:
            raise of_exception(self._where(name), self._endpoint, error) from None


def connect(connection: Connection) -> Any:
    """Return the S3 client of boto3 that all of this project uses. Raises StoreError (AddressInvalid).

    Addresses are path-style, since few stores but Amazon's have a DNS name for each bucket. Redirects are not followed, but
    for another region of Amazon's. Checksum headers are sent and expected only where S3 requires them: stores differ in
    them, and what matters is read back and compared by its sha256. Files of a home are read only when the environment names
    them or a profile, and the node's own credentials are asked for only when it says AWS_EC2_METADATA_DISABLED=false: a folder
    that a tenant can write, or a metadata service, else decides with whose keys and where the store is looked for.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": connection.attempts},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=8,
    )
    if not (os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")):
        for variable in PROFILE_FILES:
            os.environ.setdefault(variable, os.devnull)
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    region = connection.region or os.environ.get(names.ENV_REGION) or os.environ.get("AWS_DEFAULT_REGION")
    try:
        # A session of its own: the default one keeps the credentials that it found first.
        client = boto3.session.Session().client(
            "s3", endpoint_url=connection.endpoint or None, region_name=region or DEFAULT_REGION, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise StoreError(ADDRESS_INVALID, f"the S3 client cannot be made: {error}") from None
    client.meta.events.register_first("needs-retry.s3.HeadBucket", _end_redirects)
    return client


def _end_redirects(response: Any, operation: Any, **_: Any) -> None:
    """Refuse a redirect of the request by which botocore looks for the region of a bucket that was redirected.

    It answers each redirect with that request, so that an endpoint that redirects everything, e.g. from http to https, would
    keep it asking until Python's stack is full. An answer that names the region ends by itself.
    """
    from botocore.exceptions import ClientError

    redirected = response is not None and response[0] is not None and response[0].status_code in (301, 302, 307)
    if redirected and "x-amz-bucket-region" not in response[0].headers:
        raise ClientError(response[1], operation.name)


def _entry(name: str, item: dict[str, Any]) -> Entry:
    written = item.get("LastModified")
    return Entry(name, item["Size"], item.get("ETag", ""), written.timestamp() if written is not None else None)


def _plain(etag: str) -> str:
    # Whatever lies between here and the store may mark it as weak; stores differ in the quotes.
    return etag.removeprefix("W/").strip('"')


def _status(error: Any) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _unsupported(error: Any) -> bool:
    return _status(error) == UNSUPPORTED_STATUS or _code(error) == "NotImplemented"
