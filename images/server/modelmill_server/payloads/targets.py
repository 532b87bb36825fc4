"""Where the payload log is written: a folder or a prefix of an S3 bucket."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from modelmill.contracts import names
from modelmill_server.failure import StartError

ENV_PAYLOAD_LOG: Final = "MODELMILL_PAYLOAD_LOG"  # /FOLDER, file:///FOLDER or s3://BUCKET/PREFIX


class Target(Protocol):
    """Where files are put."""

    def put(self, key: str, content: bytes) -> None:
        """Store one file whole or not at all. Raises OSError, or what the store's client raises."""


class FolderTarget:
    """A folder, e.g. a mounted volume. Files appear under their name once they are complete."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def put(self, key: str, content: bytes) -> None:
        """Write the file under a hidden name, sync it, and rename it."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        try:
            with partial.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


class S3Target:
    """A prefix of an S3 bucket; endpoint, region and credentials as the AWS SDKs find them."""

    def __init__(self, bucket: str, prefix: str) -> None:
        """Raises StartError (ConfigInvalid) when the environment does not make a client."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        # One attempt: the writer repeats by itself, and can be interrupted between two.
        config = Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            max_pool_connections=1,
        )
        region = os.environ.get(names.ENV_REGION) or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        try:
            self._client = boto3.client("s3", region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise StartError("ConfigInvalid", f"{ENV_PAYLOAD_LOG}: the S3 client cannot be made: {error}") from None

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    def put(self, key: str, content: bytes) -> None:
        """Write the object."""
        self._client.put_object(
            Bucket=self._bucket, Key=self._prefix + key, Body=content, ContentType="application/gzip"
        )


def open_target(uri: str) -> Target:
    """Return the target of /FOLDER, file:///FOLDER or s3://BUCKET[/PREFIX]. Raises StartError (ConfigInvalid)."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FolderTarget(Path(unquote(parts.path)))
    if uri.startswith("/"):
        return FolderTarget(Path(uri))
    if parts.scheme == "s3" and parts.netloc:
        return S3Target(parts.netloc, parts.path.strip("/"))
    raise StartError(
        "ConfigInvalid", f"{ENV_PAYLOAD_LOG} is {uri!r}: use /FOLDER, file:///FOLDER or s3://BUCKET/PREFIX"
    )
