"""What can go wrong between the engine and the API server.

EngineError
├── LoginError          no kubeconfig and no service account, or one that cannot be read
├── NameConflict        a child's name is taken by an object that is not ours
├── ChildTerminating    a child's name is still held by an object that is going
├── InternalError       a plan could not be made: an error of ours
└── ApiError            the API server answered with an error, or did not answer
    ├── Unreachable     no answer: connection refused, cut, or timed out
    ├── NotFound        404
    ├── AlreadyExists   409 on POST
    ├── Conflict        409 on a write with a resourceVersion or uid that is out of date
    ├── Expired         410: a resourceVersion or a page of a list that is too old
    ├── Forbidden       401, 403
    ├── Invalid         400, 422
    ├── TooManyRequests 429
    └── ServerFailure   5xx
"""

from __future__ import annotations

RETRY_AFTER_LAST = 120.0
"""Longest wait in seconds that an answer may ask for."""


class EngineError(Exception):
    """Anything that the engine raises."""


class HistorySetBack(Exception):
    """The API server tells of a past whose future this process has seen: etcd was restored from a backup.

    No EngineError, since nothing can be tried again: what is cached would outrank whatever comes, for ever. The process ends,
    and begins anew with what there is.
    """


class LoginError(EngineError):
    """There is no way to reach an API server; the text says what was looked for."""


class NameConflict(EngineError):
    """A child cannot be made because an object of another owner has its name."""


class ChildTerminating(EngineError):
    """A child cannot be made yet: one of its name is being deleted, and whoever deletes it will come to its end."""


class InternalError(EngineError):
    """A plan raised what nobody foresaw; the text says what, the operator's log says where."""


class ApiError(EngineError):
    """The API server refused. `status` is the HTTP code, 0 when there was no answer.

    retry_after: seconds after which it wants to be asked again, at most `RETRY_AFTER_LAST`; None when it did not say.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = None if retry_after is None else min(retry_after, RETRY_AFTER_LAST)


class Unreachable(ApiError):
    """No answer."""


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists."""


class Conflict(ApiError):
    """409 with another reason."""


class Expired(ApiError):
    """410."""


class Forbidden(ApiError):
    """401 or 403."""


class Invalid(ApiError):
    """400 or 422."""


class TooManyRequests(ApiError):
    """429; `retry_after` in seconds when the server said so."""


class ServerFailure(ApiError):
    """5xx."""


def api_error(status: int, reason: str, message: str, retry_after: float | None = None) -> ApiError:
    """Return the error of the tree above for an HTTP status and the `reason` of the Status object."""
    kinds: dict[int, type[ApiError]] = {
        400: Invalid,
        401: Forbidden,
        403: Forbidden,
        404: NotFound,
        409: AlreadyExists if reason == "AlreadyExists" else Conflict,
        410: Expired,
        422: Invalid,
        429: TooManyRequests,
    }
    kind = kinds.get(status, ServerFailure if status >= 500 else ApiError)
    return kind(status, reason or "Unknown", message, retry_after)


PASSES_BY_ITSELF = (Conflict, TooManyRequests, ServerFailure, Unreachable)
"""What is over when the API server has come back or has less to do, and nobody has to mend."""
