"""Revert data into the names of the protocol's errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from faas_blueprint.digests import keccak256, to_hex

_SIGNATURES = """
Error(string) Panic(uint256) UnknownSelector(bytes4)
EnforcedPause() ReentrancyGuardReentrantCall() ZeroAddress() ZeroAmount() Unauthorized() InvalidState()
LengthMismatch() DeadlineExpired() AccessControlUnauthorizedAccount(address,bytes32)
SchemaTooLarge() SchemaValidationFailed(uint8,uint64,uint64,uint256) UnsupportedFieldKind(uint8)
InvalidSchemaVersion(uint8,uint8)
BlueprintNotFound(uint64) BlueprintNotActive(uint64) NotBlueprintOwner(uint64,address)
BlueprintMetadataRequired() BlueprintMetadataHashRequired() BlueprintMembershipRequired()
BlueprintSourcesRequired() BlueprintBinaryRequired() BlueprintBinaryHashRequired() MBSMRegistryNotSet()
MasterManagerUnavailable()
OperatorNotRegistered(uint64,address) OperatorRpcAddressRequired()
OperatorAlreadyRegistered(uint64,address) OperatorAlreadyRegistered(address) OperatorNotActive(address)
InsufficientStake(address,uint256,uint256) InsufficientStake(uint256,uint256)
MaxBlueprintsPerOperatorExceeded(address,uint32) InvalidOperatorKey() DuplicateOperatorKey(uint64,bytes32)
OperatorHasActiveServices(uint64,address) OperatorBondTokenOnly(address) AssetNotEnabled(address)
ServiceRequestNotFound(uint64) ServiceRequestAlreadyProcessed(uint64) ServiceRequestExpiredError(uint64)
ServiceNotFound(uint64) ServiceNotActive(uint64) ServiceExpired(uint64) NotServiceOwner(uint64,address)
NotPermittedCaller(uint64,address) OperatorNotInService(uint64,address) AlreadyApproved(uint64,address)
InsufficientOperators(uint32,uint32) TooManyOperators(uint32,uint32) NoOperators()
TTLBelowMinimum(uint64,uint64) TTLAboveMaximum(uint64,uint64) SecurityCommitmentsRequired(uint64)
CommitmentBelowMinimum(address,uint16,uint16) CommitmentAboveMaximum(address,uint16,uint16)
JobCallNotFound(uint64,uint64) JobAlreadyCompleted(uint64,uint64) InvalidJobIndex(uint8)
ResultAlreadySubmitted(uint64,uint64,address) NotQuotedOperator(uint64,uint64)
AggregationRequired(uint64,uint8) AggregationNotRequired(uint64,uint8)
JobQuoteServiceMismatch(uint64,uint64) JobQuoteJobIndexMismatch(uint8,uint8)
InsufficientPayment(uint256,uint256) InvalidMsgValue(uint256,uint256) PaymentFailed()
InsufficientPaymentForQuotes(uint256,uint256)
PaymentTooSmall(uint256,uint256) UpfrontPaymentNotAllowedForEventDriven() TokenNotAllowed(address)
QuoteExpired(address,uint64) QuoteAlreadyUsed(address) InvalidQuoteSignature(address) NoQuotes()
QuoteTimestampTooOld(address,uint64,uint64) QuoteTimestampStale(address,uint64,uint64)
ManagerReverted(address,bytes) ManagerRejected(address)
ERC20InsufficientAllowance(address,uint256,uint256) ERC20InsufficientBalance(address,uint256,uint256)
ExitTooEarly(uint64,address,uint64,uint64) ExitNotExecutable(uint64,address,uint64,uint64)
ExitAlreadyScheduled(uint64,address) ExitNotScheduled(uint64,address) ForceExitNotAllowed(uint64)
InvalidExposureBps(uint16) MissingAssetCommitment(address) DuplicateAssetCommitment(uint8,address)
OperatorNotLeaving(address) LeavingTooEarly(uint64,uint64) PendingSlashExists(address,uint64)
OperatorHasActiveServices(address) NoRewardsToClaim()
NotRegisteredOperator() HeartbeatStale(uint64,uint64) HeartbeatFromFuture(uint64,uint64) OperatorSlashed()
InvalidSignature()
"""

FINAL_FOR_RESULT = frozenset(
    {
        *("JobAlreadyCompleted", "ResultAlreadySubmitted", "JobCallNotFound", "SchemaValidationFailed"),
        *("ServiceNotActive", "ServiceExpired", "ServiceNotFound", "OperatorNotInService"),
        *("OperatorNotActive", "NotQuotedOperator", "AggregationRequired"),
    }
)
"""Errors after which sending the same result again is of no use."""


@dataclass(frozen=True, slots=True)
class ContractError:
    """Why a call reverted: an error's name and its arguments as text."""

    name: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.arguments)})"


def _types(signature: str) -> list[str]:
    inside = signature[signature.index("(") + 1 : -1]
    return inside.split(",") if inside else []


KNOWN_ERRORS: Mapping[bytes, str] = {
    keccak256(signature.encode())[:4]: signature for signature in _SIGNATURES.split()
}
"""Signature by selector."""


def decode_revert(data: bytes) -> ContractError:
    """The error in revert data; one that is not known is named by its selector, no data `Reverted`."""
    if len(data) < 4:
        return ContractError("Reverted")
    signature = KNOWN_ERRORS.get(data[:4])
    if signature is None:
        return ContractError(to_hex(data[:4]), (to_hex(data[4:]),) if data[4:] else ())
    name = signature[: signature.index("(")]
    try:
        values = decode(_types(signature), data[4:])
    except DecodingError:
        return ContractError(name)
    return ContractError(
        name, tuple(to_hex(value) if isinstance(value, bytes) else str(value) for value in values)
    )
