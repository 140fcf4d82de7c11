"""Every error that a client raises, in one tree.

FaaSError
├── ApiError                 the API answered with an error
│   ├── InvalidRequest       400 INVALID_REQUEST
│   ├── Unauthorized         401 UNAUTHORIZED
│   ├── PaymentRequired      402 PAYMENT_REQUIRED
│   ├── Forbidden            403 FORBIDDEN
│   ├── NotFound             404 NOT_FOUND
│   ├── ExecutionTimeout     408 EXECUTION_TIMEOUT
│   ├── RateLimitError       429 RATE_LIMIT_EXCEEDED, with `reset_at` and `retry_after`
│   ├── InsufficientResources 507 INSUFFICIENT_RESOURCES
│   └── ServerError          everything else
├── ConnectionFailed         nothing answered, or what answered cannot be read
│   └── RequestTimeout       nothing answered in time
├── SubstrateNotInstalled    the endpoint is a Substrate node, and the extra that it takes is not there
└── TangleError              of the chain
    ├── SubmissionRefused    this client would not send it; `reason` says why, nothing was paid
    │   └── FundsAtRisk      Tangle would have taken the money for nothing
    ├── TransactionFailed    it was sent and reverted
    ├── ResultTimeout        no result yet; the job is still there, wait again
    └── ResultUnreadable     what was posted is not a result of this blueprint
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

Details = Mapping[str, object]


class FaaSError(Exception):
    """Base of all errors."""

    def __init__(
        self, message: str, *, code: str = "", status: int = 0, details: Details | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        """The API's documented code, a refusal's reason, else empty."""
        self.status = status
        """The HTTP status, 0 likewise."""
        self.details: Details = dict(details or {})


class ApiError(FaaSError):
    """The API answered with an error."""


class InvalidRequest(ApiError):
    """A field is missing, malformed or out of range; `details` names it."""


class Unauthorized(ApiError):
    """No API key, or one that is not valid."""


class PaymentRequired(ApiError):
    """The balance does not cover the request."""


class Forbidden(ApiError):
    """The key may not do this."""


class NotFound(ApiError):
    """No such object."""


class ExecutionTimeout(ApiError):
    """The job used up its time; `details` may hold what it wrote until then."""


class InsufficientResources(ApiError):
    """The service has no room at the moment."""


class ServerError(ApiError):
    """The service failed."""


class RateLimitError(ApiError):
    """Too many requests, or too many executions at once."""

    @property
    def reset_at(self) -> datetime | None:
        """When the limit is lifted, where the service says so."""
        value = self.details.get("reset_at")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        try:
            return datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            return None

    @property
    def retry_after(self) -> int | None:
        """In how many seconds to ask again, where the service says so."""
        value = self.details.get("retry_after")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class ConnectionFailed(FaaSError):
    """Nothing answered, or what answered cannot be read."""


class RequestTimeout(ConnectionFailed):
    """Nothing answered in time."""


class SubstrateNotInstalled(FaaSError):
    """The endpoint is a Substrate node, and the extra that it takes is not there."""

    def __init__(self) -> None:
        super().__init__(
            "this endpoint is a Substrate node, which takes more than is installed: "
            "pip install 'tangle-faas-sdk[substrate]'"
        )


class TangleError(FaaSError):
    """Of the chain."""


class SubmissionRefused(TangleError):
    """This client would not send the job; nothing was paid."""

    def __init__(self, reason: str, message: str, details: Details | None = None) -> None:
        super().__init__(message, code=reason, details=details)
        self.reason = reason
        """A stable word, such as `not_permitted`, also its `code`; see `faas_sdk.guard`."""


class FundsAtRisk(SubmissionRefused):
    """Tangle would have taken the money, for nothing, and given none of it back."""


class TransactionFailed(TangleError):
    """The transaction was included and reverted."""


class ResultTimeout(TangleError):
    """No result in time. The job is still on-chain: wait again."""


class ResultUnreadable(TangleError):
    """What was posted is not a result of this blueprint."""


_BY_CODE: Mapping[str, type[ApiError]] = {
    "INVALID_REQUEST": InvalidRequest,
    "UNAUTHORIZED": Unauthorized,
    "PAYMENT_REQUIRED": PaymentRequired,
    "FORBIDDEN": Forbidden,
    "NOT_FOUND": NotFound,
    "EXECUTION_TIMEOUT": ExecutionTimeout,
    "RATE_LIMIT_EXCEEDED": RateLimitError,
    "INSUFFICIENT_RESOURCES": InsufficientResources,
}

_CODE_BY_STATUS: Mapping[int, str] = {
    400: "INVALID_REQUEST",
    401: "UNAUTHORIZED",
    402: "PAYMENT_REQUIRED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    408: "EXECUTION_TIMEOUT",
    413: "INVALID_REQUEST",
    422: "INVALID_REQUEST",
    429: "RATE_LIMIT_EXCEEDED",
    507: "INSUFFICIENT_RESOURCES",
}


def api_error(status: int, body: object) -> ApiError:
    """The error of a response `{"error": {code, message, details}}`; of any other body, by its status."""
    error = body.get("error") if isinstance(body, dict) else None
    parts = error if isinstance(error, dict) else {}
    code = parts.get("code")
    if not isinstance(code, str) or not code:
        code = _CODE_BY_STATUS.get(status, "INTERNAL_ERROR")
    message = parts.get("message")
    details = parts.get("details")
    return _BY_CODE.get(code, ServerError)(
        message if isinstance(message, str) else f"the service answered with status {status}",
        code=code,
        status=status,
        details=details if isinstance(details, dict) else None,
    )
