"""The fragments of Tangle's ABI that a client needs, and how they are called.

The same in every ABI epoch but for the blueprint's definition, which has a `metadataHash` since
0.11; `JobSubmitted.jobIndex` is not indexed, whatever the shipped ABI says.
"""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from faas_sdk.effects import Plan
from faas_sdk.errors import ConnectionFailed
from faas_sdk.rpc import Log, Rpc, RpcError

CONFIG = "(uint8,uint8,uint32,uint32,uint256,uint64,uint256)"
METADATA = "(string,string,string,string,string,string,string,string,string)"
JOBS = "(string,string,string,bytes,bytes)[]"
# A tuple's head is read by position, so that what follows the jobs need not be known.
DEFINITION_0_10 = f"(string,address,uint32,bool,{CONFIG},{METADATA},{JOBS})"
DEFINITION = f"(string,bytes32,address,uint32,bool,{CONFIG},{METADATA},{JOBS})"
SERVICE = "(uint64,address,uint64,uint64,uint64,uint64,uint32,uint32,uint32,uint8,uint8,uint8,uint8)"

EVENT_DRIVEN = 2
ACTIVE = 1
ZERO_ADDRESS = "0x" + "00" * 20


def topic(signature: str) -> str:
    """topic0 of an event."""
    return "0x" + keccak(text=signature).hex()


JOB_SUBMITTED = topic("JobSubmitted(uint64,uint64,uint8,address,bytes)")
JOB_SUBMITTED_FROM_QUOTE = topic("JobSubmittedFromQuote(uint64,uint64,uint8,address,address[],uint256,bytes)")
JOB_RESULT_SUBMITTED = topic("JobResultSubmitted(uint64,uint64,address,bytes)")
JOB_COMPLETED = topic("JobCompleted(uint64,uint64)")
SERVICE_ACTIVATED = topic("ServiceActivated(uint64,uint64,uint64,uint8)")

ERRORS = (
    "ServiceNotFound(uint64)",
    "ServiceNotActive(uint64)",
    "ServiceExpired(uint64)",
    "NotPermittedCaller(uint64,address)",
    "InvalidMsgValue(uint256,uint256)",
    "InvalidJobIndex(uint8)",
    "SchemaValidationFailed(uint8,uint64,uint64,uint256)",
    "ManagerReverted(address,bytes)",
    "EnforcedPause()",
    "QuoteAlreadyUsed(address)",
    "QuoteExpired(address,uint64)",
    "QuoteTimestampTooOld(address,uint64,uint64)",
    "QuoteTimestampStale(address,uint64,uint64)",
    "InvalidQuoteSignature(address)",
    "OperatorNotInService(uint64,address)",
    "OperatorNotRegistered(uint64,address)",
    "OperatorNotActive(address)",
    "PaymentTooSmall(uint256,uint256)",
    "TokenNotAllowed(address)",
    "UpfrontPaymentNotAllowedForEventDriven()",
    "DuplicateOperatorQuote(address)",
)
_ERROR_NAMES = {"0x" + keccak(text=item)[:4].hex(): item.partition("(")[0] for item in ERRORS}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: name and types of what goes in and comes out."""

    name: str
    takes: tuple[str, ...]
    gives: tuple[str, ...]

    @property
    def selector(self) -> bytes:
        """The first four bytes of its call data."""
        return keccak(text=f"{self.name}({','.join(self.takes)})")[:4]

    def call_data(self, *values: object) -> bytes:
        """Selector and arguments."""
        return self.selector + encode(self.takes, values)


SUBMIT_JOB = Function("submitJob", ("uint64", "uint8", "bytes"), ("uint64",))
GET_SERVICE = Function("getService", ("uint64",), (SERVICE,))
IS_PERMITTED_CALLER = Function("isPermittedCaller", ("uint64", "address"), ("bool",))
IS_SERVICE_OPERATOR = Function("isServiceOperator", ("uint64", "address"), ("bool",))
GET_SERVICE_OPERATORS = Function("getServiceOperators", ("uint64",), ("address[]",))
IS_OPERATOR_REGISTERED = Function("isOperatorRegistered", ("uint64", "address"), ("bool",))
GET_BLUEPRINT_0_10 = Function(
    "getBlueprint", ("uint64",), ("(address,address,uint64,uint32,uint8,uint8,bool)",)
)
GET_BLUEPRINT = Function("getBlueprint", ("uint64",), ("(address,address,uint64,uint8,uint8,bool)",))
"""Owner and manager first; pricing before the last."""
GET_REQUIRED_RESULT_COUNT = Function("getRequiredResultCount", ("uint64", "uint8"), ("uint32",))
"""Of a blueprint's manager, as the next."""
REQUIRES_AGGREGATION = Function("requiresAggregation", ("uint64", "uint8"), ("bool",))
GET_JOB_EVENT_RATE = Function("getJobEventRate", ("uint64", "uint8"), ("uint256",))
GET_SERVICE_PAYMENT_ASSET = Function("getServicePaymentAsset", ("uint64",), ("address",))
GET_BLUEPRINT_DEFINITION_0_10 = Function("getBlueprintDefinition", ("uint64",), (DEFINITION_0_10,))
GET_BLUEPRINT_DEFINITION = Function("getBlueprintDefinition", ("uint64",), (DEFINITION,))
CALL_OF = Function(
    "callOf",
    ("uint64", "uint64"),
    ("(uint8,uint8,uint8,bool,uint8,uint8,uint32,uint64,uint32,bytes32,bytes32)",),
)
"""Of our service manager: a call's standing first, the agreement last."""
FACET_FOR_SELECTOR = Function("facetForSelector", ("bytes4",), ("address",))

APPROVE_WITH_PARAMETERS = bytes.fromhex("6a46006b")
"""`approveService(ApprovalParams)`: there since 0.11."""


def read(rpc: Rpc, contract: str, function: Function, *values: object, block: str = "latest") -> Plan[object]:
    """The one value that a view gives. Raises ConnectionFailed when it cannot be read."""
    query = {"to": contract, "data": "0x" + function.call_data(*values).hex()}
    try:
        answer = yield from rpc.call("eth_call", query, block)
        return decode(function.gives, bytes.fromhex(str(answer)[2:]))[0]
    except (RpcError, DecodingError) as error:
        raise ConnectionFailed(
            f"{contract} does not answer {function.name}: {error}. Is it Tangle's address?"
        ) from error


def has(rpc: Rpc, contract: str, selector: bytes) -> Plan[bool]:
    """Whether Tangle routes a selector."""
    facet = yield from read(rpc, contract, FACET_FOR_SELECTOR, selector)
    return facet != ZERO_ADDRESS


def revert_name(error: RpcError) -> str:
    """The contract's error by name, where it is known; else what the endpoint says."""
    return _ERROR_NAMES.get((error.data or "")[:10], error.message)


def word(value: int | str) -> str:
    """A number or address as a topic."""
    return "0x" + (f"{value:064x}" if isinstance(value, int) else value[2:].lower().rjust(64, "0"))


def event_values(log: Log, *types: str) -> tuple[object, ...]:
    """The values of an event that are not indexed. Raises ConnectionFailed."""
    try:
        return tuple(decode(types, log.data))
    except DecodingError as error:
        raise ConnectionFailed(f"a log in {log.transaction_hash} cannot be read: {error}") from error
