"""`modelmill-server fetch`: bring one artifact from its store into a folder, verified against its digest."""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from modelmill.contracts import names
from modelmill.contracts.artifact import Manifest, digest, parse_manifest
from modelmill_server.failure import StartError
from modelmill_server.folder import mismatch, plain_name

CHUNK = 1 << 20
PAUSES = (0.5, 2.0)  # seconds before the second and the third attempt
MAX_MANIFEST = 4 << 20
AUTH_CODES = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "401", "403",
     "Forbidden", "Unauthorized", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed",
     "XAdminUserNotFound"}  # versitygw, for a key that it does not know
)  # fmt: skip
MISSING_CODES = frozenset({"NoSuchKey", "404", "NotFound"})

T = TypeVar("T")


class Source(Protocol):
    """Where the files of one artifact are read from."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of the file `name`. Raises StartError."""


def fetch(environ: Mapping[str, str]) -> Manifest:
    """Bring the artifact that the environment names into its folder and return the manifest.

    Files that are there already and right are kept, so that a restarted init container does little. Raises StartError.
    """
    uri, expected, folder = (
        _required(environ, name) for name in (names.ENV_ARTIFACT_URI, names.ENV_ARTIFACT_DIGEST, names.ENV_MODEL_FOLDER)
    )
    source, target = open_source(uri), Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
        content = _manifest(source)
        found = digest(content)
        if found != expected:
            raise StartError("DigestMismatch", f"{uri}/manifest.json has digest {found}, expected {expected}")
        try:
            manifest = parse_manifest(content)
        except ValueError as error:
            raise StartError("ArtifactCorrupt", f"{uri}: {error}") from None
        for file in manifest.files:
            path = target / plain_name(file.name)
            if path.exists() and not mismatch(path, file.size, file.sha256):
                continue
            _download(source, file.name, path, file.size, file.sha256)
        (target / names.MANIFEST_FILE).write_bytes(content)
    except OSError as error:
        raise StartError("FolderNotWritable", f"{error.filename or folder}: {error.strerror}", final=False) from None
    return manifest


def open_source(uri: str) -> Source:
    """Return the source of s3://BUCKET/KEY or file:///FOLDER. Raises StartError (ConfigInvalid) for anything else."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FileSource(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc and parts.path.strip("/"):
        return S3Source(parts.netloc, parts.path.strip("/"))
    raise StartError("ConfigInvalid", f"{names.ENV_ARTIFACT_URI} is {uri!r}: use s3://BUCKET/KEY or file:///FOLDER")


class FileSource:
    """A folder, e.g. a mounted volume."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the file's content."""
        path = self._folder / name
        try:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except FileNotFoundError:
            raise StartError("ArtifactMissing", f"{path} does not exist") from None
        except PermissionError:
            raise StartError("StoreAuthFailed", f"{path} may not be read by this user") from None


class S3Source:
    """A prefix of an S3 bucket; endpoint, region and credentials as the AWS SDKs find them."""

    def __init__(self, bucket: str, prefix: str) -> None:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        self._bucket, self._prefix = bucket, prefix
        config = Config(
            connect_timeout=5,
            read_timeout=20,
            retries={"mode": "standard", "max_attempts": 2},
            s3={"addressing_style": "path"},
        )
        region = os.environ.get(names.ENV_REGION) or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        try:
            self._client = boto3.client("s3", region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise StartError("ConfigInvalid", f"the S3 client cannot be made: {error}") from None

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the object's content."""
        with self._told(name):
            body = self._client.get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")["Body"]
            yield from body.iter_chunks(CHUNK)

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

        where = f"s3://{self._bucket}/{self._prefix}/{name}"
        try:
            yield
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise StartError("StoreAuthFailed", f"{where}: {error}; set {names.ENV_ACCESS_KEY}") from None
        except ClientError as error:
            raise self._refused(where, error.response) from None
        except BotoCoreError as error:
            raise StartError("StoreUnreachable", f"{where}: {error}", final=False) from None

    def _refused(self, where: str, response: Mapping[str, Any]) -> StartError:
        error = response.get("Error", {})
        code, status = str(error.get("Code", "")), response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        text = f"{where}: {code} {error.get('Message', '')} (HTTP {status})"
        if code == "NoSuchBucket":
            return StartError("BucketNotFound", text)
        if code in AUTH_CODES or status in (401, 403):
            return StartError("StoreAuthFailed", text)
        if code in MISSING_CODES or status == 404:
            return StartError("ArtifactMissing", text)
        return StartError("StoreUnreachable", text, final=False)


def _manifest(source: Source) -> bytes:
    def read() -> bytes:
        content = b""
        for chunk in source.chunks(names.MANIFEST_FILE):
            content += chunk
            if len(content) > MAX_MANIFEST:
                raise StartError("ArtifactCorrupt", f"manifest.json has more than {MAX_MANIFEST} bytes")
        return content

    return _repeat(read)


def _download(source: Source, name: str, path: Path, size: int, sha256: str) -> None:
    partial = path.with_name(f".{name}.part")

    def read() -> None:
        seen, found = 0, hashlib.sha256()
        with partial.open("wb") as stream:
            for chunk in source.chunks(name):
                seen += len(chunk)
                if seen > size:
                    break
                found.update(chunk)
                stream.write(chunk)
        if seen != size:
            raise StartError("DigestMismatch", f"{name} has {seen} bytes or more, the manifest says {size}")
        if found.hexdigest() != sha256:
            raise StartError("DigestMismatch", f"{name} has sha256 {found.hexdigest()}, the manifest says {sha256}")

    try:
        _repeat(read)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _repeat(read: Callable[[], T]) -> T:
    """Call `read`; again, twice at most, after a failure that may go away, e.g. a connection cut within a file."""
    for pause in PAUSES:
        try:
            return read()
        except StartError as error:
            if error.final:
                raise
            print(f"{error.line()}; trying again in {pause} s", file=sys.stderr)
            time.sleep(pause)
    return read()


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name)
    if not value:
        raise StartError("ConfigInvalid", f"the environment variable {name} is not set")
    return value


def main() -> int:
    """Run the fetch and return the exit code: 0, or 3 when a repeat will not help, or 1 when it may."""
    begin = time.monotonic()
    manifest = fetch(os.environ)
    size = sum(file.size for file in manifest.files)
    print(
        f"fetched {manifest.model} {manifest.version}: {len(manifest.files)} files, {size} bytes, "
        f"{time.monotonic() - begin:.2f} s",
        file=sys.stderr,
    )
    return 0
