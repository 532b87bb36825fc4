"""A prefix of an S3 bucket as a Folder, and what the store's refusals mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from modelmill.contracts import names
from modelmill_trainer.failure import StageError
from modelmill_trainer.stores import CHUNK, Entry

AUTH_CODES = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "401", "403",
     "Forbidden", "Unauthorized", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed"}
)  # fmt: skip
MISSING_CODES = frozenset({"NoSuchKey", "404", "NotFound"})
# 304 is what older MinIO releases answer to If-None-Match: *.
EXISTS_STATUS = frozenset({304, 409, 412})
UNSUPPORTED_STATUS = 501


class S3Folder:
    """Objects whose keys begin with a prefix. The URI may also name a single object."""

    def __init__(self, uri: str, bucket: str, prefix: str, endpoint: str | None, region: str | None) -> None:
        self.uri = uri
        self._bucket = bucket
        self._prefix = prefix.rstrip("/")
        self._endpoint = endpoint or os.environ.get(names.ENV_ENDPOINT) or ""
        self._client = _client(endpoint, region)

    def entries(self) -> list[Entry]:
        """Return every object under the prefix; a prefix is a folder, so `cars` does not match `cars-old/`."""
        found = []
        with self._told(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            for page in pages:
                for item in page.get("Contents", ()):
                    name = self._name(item["Key"])
                    if name is not None and not item["Key"].endswith("/"):
                        found.append(Entry(name, item["Size"], item.get("ETag", "")))
        return sorted(found, key=lambda entry: entry.name)

    def chunks(self, name: str, etag: str = "") -> Iterator[bytes]:
        """Yield the object's content."""
        condition = {"IfMatch": etag} if etag else {}
        with self._told(name):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(name), **condition)
            yield from answer["Body"].iter_chunks(CHUNK)

    def create(self, name: str, content: bytes) -> bool:
        """Put the object on condition that it does not exist, or after a look where the store knows no conditions."""
        from botocore.exceptions import ClientError

        with self._told(name):
            try:
                self._put(name, content, IfNoneMatch="*")
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                if status in EXISTS_STATUS:
                    return False
                if status != UNSUPPORTED_STATUS:
                    raise
            else:
                return True
            if self._exists(name):
                return False
            self._put(name, content)
        return True

    def _put(self, name: str, content: bytes, **condition: str) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content, **condition)

    def _exists(self, name: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(Bucket=self._bucket, Key=self._key(name))
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return False
            raise
        return True

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)

    def _name(self, key: str) -> str | None:
        if not self._prefix:
            return key
        if key == self._prefix:
            return ""
        return key.removeprefix(f"{self._prefix}/") if key.startswith(f"{self._prefix}/") else None

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        where = f"s3://{self._bucket}/{self._key(name)}"
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError):
            mend = f"set {names.ENV_ACCESS_KEY} and {names.ENV_SECRET_KEY}, by the Secret that store.secretRef names"
            raise StageError("StoreAuthFailed", f"{where}: there are no credentials: {mend}") from None
        except ClientError as error:
            raise self._refused(where, error.response) from None
        except BotoCoreError as error:
            at = f" at {self._endpoint}" if self._endpoint else ""
            text = f"{where}: the store{at} does not answer: {error}; check store.endpoint"
            raise StageError("StoreUnreachable", text, final=False) from None

    def _refused(self, where: str, response: Mapping[str, Any]) -> StageError:
        error = response.get("Error", {})
        code, status = str(error.get("Code", "")), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = f"{where}: {code} {error.get('Message', '')} (HTTP {status})"
        if code == "NoSuchBucket":
            return StageError("BucketNotFound", f"{text}: create the bucket {self._bucket!r} or correct the URI")
        if code in AUTH_CODES or status in (401, 403):
            return StageError("StoreAuthFailed", f"{text}: check the Secret that store.secretRef names")
        if code in MISSING_CODES or status == 404:
            return StageError("ObjectNotFound", text)
        if status == 412:
            return StageError("DataChanged", f"{where} was overwritten while it was read", final=False)
        return StageError("StoreUnreachable", text, final=False)


@cache
def _client(endpoint: str | None, region: str | None) -> Any:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 3},
        s3={"addressing_style": "path"},
        # Every file is read back and compared by its sha256; stores other than Amazon's differ in checksum headers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        max_pool_connections=8,
    )
    region = region or os.environ.get(names.ENV_REGION) or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        return boto3.session.Session().client("s3", endpoint_url=endpoint or None, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StageError("SpecInvalid", f"store: the S3 client cannot be made: {error}") from None
