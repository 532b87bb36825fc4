"""What a store's refusals mean: one table from its codes, statuses and exceptions to a reason, a repeat or an end, a mend.

Exceptions are found by the names of their classes, so that whoever only handles errors need not import the S3 client.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# Reasons. A program that has other words for some of them in its own contract translates those.
AUTH_FAILED: Final = "StoreAuthFailed"
BUCKET_NOT_FOUND: Final = "BucketNotFound"
OBJECT_NOT_FOUND: Final = "ObjectNotFound"
UNREACHABLE: Final = "StoreUnreachable"
OBJECT_CHANGED: Final = "ObjectChanged"
OBJECT_TOO_LARGE: Final = "ObjectTooLarge"
TOO_MANY_OBJECTS: Final = "TooManyObjects"
UPLOAD_FAILED: Final = "UploadFailed"
DISK_FAILED: Final = "DiskFailed"
ADDRESS_INVALID: Final = "AddressInvalid"  # a URI, an endpoint, a region or a name

MAX_WORDS = 600  # of a store's own words in a message, which may be a page of HTML
_USER_INFO = re.compile(r"//[^/@\s]*@")


class StoreError(Exception):
    """A store or a folder did not do what it was asked.

    reason: one of the words above. message: one line with the address and the mend. final: a repeat will end the same way.
    """

    def __init__(self, reason: str, message: str, *, final: bool = True) -> None:
        self.reason = reason
        self.message = one_line(message)
        self.final = final
        super().__init__(self.message)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A row of the table. said: what happened, for errors without words of the store. Both may have a place, e.g. {bucket}."""

    reason: str
    final: bool
    mend: str
    said: str = ""


_KEYS = Meaning(AUTH_FAILED, True, "check the keys in the Secret that store.secretRef names, and what they may do")
_NO_KEYS = Meaning(
    AUTH_FAILED,
    True,
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, by the Secret that store.secretRef names",
    "there are no credentials",
)
_NO_KEYS_YET = Meaning(
    AUTH_FAILED,
    False,
    "check the service account of the pod, or name a Secret in store.secretRef",
    "credentials cannot be fetched",
)
_CLOCK = Meaning(AUTH_FAILED, True, "set the clock of the node")
_SIGNED_FOR = Meaning(AUTH_FAILED, True, "check store.region and the keys in the Secret that store.secretRef names")
_ENCRYPTION = Meaning(AUTH_FAILED, True, "check the bucket's encryption key and whether the credentials may use it")
_BUCKET = Meaning(BUCKET_NOT_FOUND, True, "create the bucket {bucket!r} or correct the URI")
_GONE = Meaning(OBJECT_NOT_FOUND, True, "correct the URI or bring the object back")
_ARCHIVED = Meaning(OBJECT_NOT_FOUND, True, "the object is archived: restore it to a storage class that can be read")
_CHANGED = Meaning(OBJECT_CHANGED, False, "the object was overwritten while it was read")
_ELSEWHERE = Meaning(UNREACHABLE, True, "the bucket lies elsewhere: set store.region and store.endpoint to where it is")
_REDIRECTED = Meaning(UNREACHABLE, False, "redirects are not followed: set store.endpoint to the store itself")
_REFUSED = Meaning(UNREACHABLE, True, "the store does not know such a request: check store.endpoint")
_KEY_TOO_LONG = Meaning(ADDRESS_INVALID, True, "shorten the URI")
_TOO_LARGE = Meaning(UPLOAD_FAILED, True, "the store takes no object of this size")
# A bucket may hold `a` and `a/b`; a disk may not, nor a store that keeps its objects on one.
_IN_THE_WAY = Meaning(UPLOAD_FAILED, True, "an object lies where a folder is needed, or a folder here: use another URI")
_FULL = Meaning(UNREACHABLE, False, "make room in the store")
_AILING = Meaning(UNREACHABLE, False, "check the store and store.endpoint", "the store{at} failed")
_SILENT = Meaning(UNREACHABLE, False, "check store.endpoint", "the store{at} does not answer")
_CUT = Meaning(UNREACHABLE, False, "check the network to the store", "the connection to the store{at} was cut")
_CERTIFICATE = Meaning(
    UNREACHABLE,
    False,
    "check store.endpoint, and trust its certificate by AWS_CA_BUNDLE",
    "no TLS connection to the store{at}",
)
_NOT_S3 = Meaning(UNREACHABLE, False, "check store.endpoint", "what answers{at} does not speak S3")
_CLIENT = Meaning(ADDRESS_INVALID, True, "correct the URI, the endpoint or the region", "the S3 client refuses")

# By the <Code> of an answer; without a body (HEAD) it is the status as text.
BY_CODE: Final[dict[str, Meaning]] = {
    **dict.fromkeys(
        ("AccessDenied", "AccountProblem", "AllAccessDisabled", "ExpiredToken", "Forbidden", "InvalidAccessKeyId",
         "InvalidClientTokenId", "InvalidSecurity", "InvalidToken", "NotSignedUp", "SignatureDoesNotMatch",
         "TokenRefreshRequired", "Unauthorized", "UnauthorizedAccess", "UserSuspended",
         "XAdminUserNotFound"),  # versitygw, with status 404, for a key that it does not know
        _KEYS,
    ),
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _CLOCK),
    "AuthorizationHeaderMalformed": _SIGNED_FOR,
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), _BUCKET),
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "NotFound"), _GONE),
    "InvalidObjectState": _ARCHIVED,
    "PreconditionFailed": _CHANGED,
    **dict.fromkeys(("PermanentRedirect", "IllegalLocationConstraintException", "301"), _ELSEWHERE),
    "KeyTooLongError": _KEY_TOO_LONG,
    "EntityTooLarge": _TOO_LARGE,
    **dict.fromkeys(("ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject"), _IN_THE_WAY),
    **dict.fromkeys(
        ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"), _FULL
    ),
    **dict.fromkeys(("MethodNotAllowed", "NotImplemented"), _REFUSED),
}  # fmt: skip
# By the status of an answer whose code is not above.
BY_STATUS: Final[dict[int, Meaning]] = {
    301: _ELSEWHERE,
    **dict.fromkeys((302, 303, 307, 308), _REDIRECTED),
    401: _KEYS,
    403: _KEYS,
    404: _GONE,
    405: _REFUSED,
    412: _CHANGED,
    413: _TOO_LARGE,
    501: _REFUSED,
    507: _FULL,
}
# By the name of the exception's class or of its nearest base here: of botocore, and of urllib3 while a body is read.
BY_EXCEPTION: Final[dict[str, Meaning]] = {
    **dict.fromkeys(
        ("NoCredentialsError", "PartialCredentialsError", "NoAuthTokenError", "ProfileNotFound", "SSOTokenLoadError",
         "UnauthorizedSSOTokenError", "LoginError"),
        _NO_KEYS,
    ),
    **dict.fromkeys(
        ("CredentialRetrievalError", "MetadataRetrievalError", "TokenRetrievalError", "SSOError"), _NO_KEYS_YET
    ),
    "SSLError": _CERTIFICATE,
    **dict.fromkeys(
        ("IncompleteReadError", "ResponseStreamingError", "ProtocolError", "ChecksumError", "FlexibleChecksumError"),
        _CUT,
    ),
    **dict.fromkeys(("ConnectionError", "ConnectionClosedError", "HTTPClientError", "HTTPError"), _SILENT),
    "ResponseParserError": _NOT_S3,
    **dict.fromkeys(
        ("ParamValidationError", "ValidationError", "UnsupportedS3ArnError", "InvalidEndpointConfigurationError",
         "EndpointProviderError", "InvalidRegionError", "ValueError"),
        _CLIENT,
    ),
}  # fmt: skip
# By the error number of a folder's file.
BY_ERRNO: Final[dict[int, Meaning]] = {
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP), Meaning(
        OBJECT_NOT_FOUND, True, "correct the URI or bring the file back", "does not exist as a file"
    )),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), Meaning(
        AUTH_FAILED, True, "let this user in, e.g. by podTemplate.securityContext.fsGroup", "may not be used by user {user}"
    )),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EINVAL), Meaning(
        ADDRESS_INVALID, True, "shorten the URI or the name", "cannot be a file's name here"
    )),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), Meaning(
        DISK_FAILED, False, "make room in the volume", "does not fit into its volume"
    )),
}  # fmt: skip
_VOLUME = Meaning(DISK_FAILED, False, "check the volume", "failed")


def of_response(where: str, bucket: str, response: Mapping[str, Any]) -> StoreError:
    """Return the error for a refusal, as botocore has it: {"Error": {"Code", "Message"}, "ResponseMetadata": {…}}."""
    error = response.get("Error", {})
    code, status = str(error.get("Code", "")), int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    meaning = BY_CODE.get(code) or BY_STATUS.get(status) or (_ENCRYPTION if code.startswith("KMS.") else _AILING)
    words = " ".join(f"{code} {error.get('Message', '')}".split())[:MAX_WORDS]
    mend = meaning.mend.format(bucket=bucket)
    return StoreError(meaning.reason, f"{where}: {words} (HTTP {status}): {mend}", final=meaning.final)


def of_exception(where: str, endpoint: str, error: Exception) -> StoreError:
    """Return the error for an exception of the S3 client. endpoint: where it looked for the store; may be empty."""
    names = (cls.__name__ for cls in type(error).__mro__)
    meaning = next((BY_EXCEPTION[name] for name in names if name in BY_EXCEPTION), _AILING)
    said = meaning.said.format(at=f" at {endpoint}" if endpoint else "")
    words = "" if meaning is _NO_KEYS else f": {' '.join(str(error).split())[:MAX_WORDS]}"
    return StoreError(meaning.reason, f"{where}: {said}{words}; {meaning.mend}", final=meaning.final)


def of_os_error(path: Path, error: OSError) -> StoreError:
    """Return the error for a file or folder that the system refused."""
    meaning = BY_ERRNO.get(error.errno or 0, _VOLUME)
    said = meaning.said.format(user=os.getuid())
    words = error.strerror or type(error).__name__
    return StoreError(meaning.reason, f"{path} {said}: {words}; {meaning.mend}", final=meaning.final)


def changed(where: str) -> StoreError:
    """Return the error for an object that is another one than was listed."""
    return StoreError(_CHANGED.reason, f"{where}: {_CHANGED.mend}", final=_CHANGED.final)


def in_the_way(path: Path) -> StoreError:
    """Return the error for a file that cannot be written since another file or folder has its place."""
    return StoreError(_IN_THE_WAY.reason, f"{path}: {_IN_THE_WAY.mend}", final=_IN_THE_WAY.final)


def not_s3(where: str, endpoint: str, problem: str) -> StoreError:
    """Return the error for an answer that an S3 store does not give."""
    at = f" at {endpoint}" if endpoint else ""
    return StoreError(UNREACHABLE, f"{where}: {_NOT_S3.said.format(at=at)}: {problem}; {_NOT_S3.mend}", final=False)


def one_line(text: str) -> str:
    """Return text as one printable line without the user info of URLs: names and words of a store may hold anything."""
    line = " ".join(_USER_INFO.sub("//***@", text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in line)
