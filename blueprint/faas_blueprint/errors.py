"""Every error of the system, in one tree.

    FaaSError
    ├── RequestError            theirs: the caller can mend it (4xx)
    │   ├── InvalidRequest      400 INVALID_REQUEST
    │   ├── Unauthorized        401 UNAUTHORIZED
    │   ├── PaymentRequired     402 PAYMENT_REQUIRED
    │   ├── Forbidden           403 FORBIDDEN
    │   ├── NotFound            404 NOT_FOUND
    │   ├── BlobUnavailable     404 BLOB_UNAVAILABLE
    │   ├── NotServed           501 NOT_SERVED
    │   ├── ExecutionTimeout    408 EXECUTION_TIMEOUT
    │   ├── ResultRefused       400: the chain will not take a result; final
    │   └── RateLimitExceeded   429 RATE_LIMIT_EXCEEDED
    ├── TransientError          ours or the world's: the same call may succeed later
    │   ├── InsufficientResources   507 INSUFFICIENT_RESOURCES
    │   ├── MachineFailure      500: a microVM died or its watchdog fired; it yields no result
    │   ├── ChainUnavailable    503: no RPC endpoint answered
    │   └── DatabaseUnavailable 503: the store's database does not answer
    ├── Divergence              500: two runs that must agree do not; evidence, never swallowed
    └── FatalError              500: the node cannot go on (broken image, wrong chain, lost key)
        └── MissingPrerequisite 500: something must be installed or built first; says what

`code` is the API's documented code, `http_status` its status; `details` is JSON-safe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Details = Mapping[str, object]


class FaaSError(Exception):
    """Base of all errors: a sentence that says what was wrong and, where one can, what to do."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: Details = dict(details or {})


class RequestError(FaaSError):
    """The caller's request cannot be served as it stands."""

    code = "INVALID_REQUEST"
    http_status = 400


class InvalidRequest(RequestError):
    """A field is missing, malformed or out of range; `details` names it."""


class UnknownVersion(InvalidRequest):
    """A receipt of a version that cannot be read here: it says nothing, right or wrong."""


class Unauthorized(RequestError):
    """No API key, or one that is not valid."""

    code = "UNAUTHORIZED"
    http_status = 401


class PaymentRequired(RequestError):
    """The balance does not cover the request."""

    code = "PAYMENT_REQUIRED"
    http_status = 402


class Forbidden(RequestError):
    """The key is valid but may not do this."""

    code = "FORBIDDEN"
    http_status = 403


class NotFound(RequestError):
    """No such object, or not this account's."""

    code = "NOT_FOUND"
    http_status = 404


class BlobUnavailable(RequestError):
    """Bytes that a job names by their hash are not held here, and nobody who was asked gave them."""

    code = "BLOB_UNAVAILABLE"
    http_status = 404


class NotServed(RequestError):
    """A job of the blueprint that this operator does not do."""

    code = "NOT_SERVED"
    http_status = 501


class ExecutionTimeout(RequestError):
    """The job used up its virtual time."""

    code = "EXECUTION_TIMEOUT"
    http_status = 408


class RateLimitExceeded(RequestError):
    """Too many requests, or too many at once."""

    code = "RATE_LIMIT_EXCEEDED"
    http_status = 429


class TransientError(FaaSError):
    """The same call may succeed later."""


class InsufficientResources(TransientError):
    """The host lacks memory, disk or a free machine."""

    code = "INSUFFICIENT_RESOURCES"
    http_status = 507


class MachineFailure(TransientError):
    """A microVM died, or ran into the wall-clock watchdog. There is no outcome."""


class ChainUnavailable(TransientError):
    """No RPC endpoint answered, or what it answered cannot be used."""

    http_status = 503


class DatabaseUnavailable(TransientError):
    """The store's database does not answer, or broke off; what was under way may be stored or not."""

    http_status = 503


class ResultRefused(RequestError):
    """The chain will not take a result for this call; final. `details["reason"]` is the contract error."""


class Divergence(FaaSError):
    """Two runs that must agree do not. `details` holds both sides."""


class FatalError(FaaSError):
    """The node cannot go on."""


class MissingPrerequisite(FatalError):
    """Something must be installed or built first; the message says what and how."""
