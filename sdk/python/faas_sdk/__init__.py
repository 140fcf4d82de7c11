"""Clients of a FaaS service: over REST (`FaaSClient`), and over Tangle (`TangleFaaSClient`).

Each has an async twin. They depend on nothing of the node, and write to nothing but the service.
"""

from faas_sdk.async_client import AsyncFaaSClient
from faas_sdk.async_tangle import AsyncTangleFaaSClient
from faas_sdk.client import FaaSClient
from faas_sdk.errors import (
    ApiError,
    ConnectionFailed,
    ExecutionTimeout,
    FaaSError,
    Forbidden,
    FundsAtRisk,
    InsufficientResources,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    RateLimitError,
    RequestTimeout,
    ResultTimeout,
    ResultUnreadable,
    ServerError,
    SubmissionRefused,
    SubstrateNotInstalled,
    TangleError,
    TransactionFailed,
    Unauthorized,
)
from faas_sdk.execution import Begun, Execution, ExecutionLine, Health
from faas_sdk.operations import Fork
from faas_sdk.output_files import FilesHash, OutputFile
from faas_sdk.quotes import JobQuote, ServiceQuote
from faas_sdk.results import CallStatus, TangleResult
from faas_sdk.snapshot import Branch, Page, Restored, Snapshot
from faas_sdk.streaming import Stream, StreamEvent
from faas_sdk.submission import JobCall, NewService
from faas_sdk.tangle import TangleFaaSClient
from faas_sdk.tangle_plans import DEVNET_TANGLE
from faas_sdk.terminal import TerminalSize
from faas_sdk.usage import CurrentUsage, Usage
from faas_sdk.verification import Verification

__all__ = [
    "DEVNET_TANGLE",
    "ApiError",
    "AsyncFaaSClient",
    "AsyncTangleFaaSClient",
    "Begun",
    "Branch",
    "CallStatus",
    "ConnectionFailed",
    "CurrentUsage",
    "Execution",
    "ExecutionLine",
    "ExecutionTimeout",
    "FaaSClient",
    "FaaSError",
    "FilesHash",
    "Forbidden",
    "Fork",
    "FundsAtRisk",
    "Health",
    "InsufficientResources",
    "InvalidRequest",
    "JobCall",
    "JobQuote",
    "NewService",
    "NotFound",
    "OutputFile",
    "Page",
    "PaymentRequired",
    "RateLimitError",
    "RequestTimeout",
    "Restored",
    "ResultTimeout",
    "ResultUnreadable",
    "ServerError",
    "ServiceQuote",
    "Snapshot",
    "Stream",
    "StreamEvent",
    "SubmissionRefused",
    "SubstrateNotInstalled",
    "TangleError",
    "TangleFaaSClient",
    "TangleResult",
    "TerminalSize",
    "TransactionFailed",
    "Unauthorized",
    "Usage",
    "Verification",
]
