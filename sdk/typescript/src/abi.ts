/**
 * The fragments of Tangle's ABI that a client needs.
 *
 * The same in every ABI epoch but for the blueprint's definition, which has a `metadataHash` since 0.11;
 * `JobSubmitted.jobIndex` is not indexed, whatever the shipped ABI says.
 */

import { parseAbi, toEventSelector, toFunctionSelector } from "viem";

const PARTS = [
  "struct Config { uint8 membership; uint8 pricing; uint32 minOperators; uint32 maxOperators; uint256 subscriptionRate; uint64 subscriptionInterval; uint256 eventRate; }",
  "struct Metadata { string name; string description; string author; string category; string codeRepository; string logo; string website; string license; string profilingData; }",
  "struct Job { string name; string description; string metadataUri; bytes paramsSchema; bytes resultSchema; }",
] as const;

export const TANGLE = parseAbi([
  "struct Service { uint64 blueprintId; address owner; uint64 createdAt; uint64 ttl; uint64 terminatedAt; uint64 lastPaymentAt; uint32 operatorCount; uint32 minOperators; uint32 maxOperators; uint8 membership; uint8 pricing; uint8 status; uint8 confidentiality; }",
  "function submitJob(uint64 serviceId, uint8 jobIndex, bytes inputs) payable returns (uint64)",
  "function getService(uint64 serviceId) view returns (Service)",
  "function isPermittedCaller(uint64 serviceId, address caller) view returns (bool)",
  "function isServiceOperator(uint64 serviceId, address operator) view returns (bool)",
  "function getServiceOperators(uint64 serviceId) view returns (address[])",
  "function isOperatorRegistered(uint64 blueprintId, address operator) view returns (bool)",
  "function getJobEventRate(uint64 blueprintId, uint8 jobIndex) view returns (uint256)",
  "function getServicePaymentAsset(uint64 serviceId) view returns (address)",
  "function facetForSelector(bytes4 selector) view returns (address)",
  "error ServiceNotFound(uint64)",
  "error ServiceNotActive(uint64)",
  "error ServiceExpired(uint64)",
  "error NotPermittedCaller(uint64,address)",
  "error InvalidMsgValue(uint256,uint256)",
  "error InvalidJobIndex(uint8)",
  "error SchemaValidationFailed(uint8,uint64,uint64,uint256)",
  "error ManagerReverted(address,bytes)",
  "error EnforcedPause()",
  "error QuoteAlreadyUsed(address)",
  "error QuoteExpired(address,uint64)",
  "error QuoteTimestampTooOld(address,uint64,uint64)",
  "error QuoteTimestampStale(address,uint64,uint64)",
  "error InvalidQuoteSignature(address)",
  "error OperatorNotInService(uint64,address)",
  "error OperatorNotRegistered(uint64,address)",
  "error OperatorNotActive(address)",
  "error PaymentTooSmall(uint256,uint256)",
  "error TokenNotAllowed(address)",
  "error UpfrontPaymentNotAllowedForEventDriven()",
  "error DuplicateOperatorQuote(address)",
]);

export const BLUEPRINT_0_10 = parseAbi([
  "struct Blueprint { address owner; address manager; uint64 createdAt; uint32 operatorCount; uint8 membership; uint8 pricing; bool active; }",
  "function getBlueprint(uint64 blueprintId) view returns (Blueprint)",
]);

/** Since 0.11. */
export const BLUEPRINT = parseAbi([
  "struct Blueprint { address owner; address manager; uint64 createdAt; uint8 membership; uint8 pricing; bool active; }",
  "function getBlueprint(uint64 blueprintId) view returns (Blueprint)",
]);

/** Of any blueprint's manager. */
export const MANAGER = parseAbi([
  "function getRequiredResultCount(uint64 serviceId, uint8 jobIndex) view returns (uint32)",
  "function requiresAggregation(uint64 serviceId, uint8 jobIndex) view returns (bool)",
]);

/** Of our service manager. */
export const SERVICE_MANAGER = parseAbi([
  "struct Call { uint8 standing; uint8 agreeing; uint8 awaited; bool registeredOnly; uint8 answers; uint8 votes; uint32 window; uint64 deadline; uint32 callbackGas; bytes32 jobDigest; bytes32 agreement; }",
  "function callOf(uint64 serviceId, uint64 callId) view returns (Call)",
]);

/** A tuple's head is read by position, so that what follows the jobs need not be known. */
export const DEFINITION_0_10 = parseAbi([
  ...PARTS,
  "struct Definition { string metadataUri; address manager; uint32 masterManagerRevision; bool hasConfig; Config config; Metadata metadata; Job[] jobs; }",
  "function getBlueprintDefinition(uint64 blueprintId) view returns (Definition)",
]);

/** Since 0.11. */
export const DEFINITION = parseAbi([
  ...PARTS,
  "struct Definition { string metadataUri; bytes32 metadataHash; address manager; uint32 masterManagerRevision; bool hasConfig; Config config; Metadata metadata; Job[] jobs; }",
  "function getBlueprintDefinition(uint64 blueprintId) view returns (Definition)",
]);

export const JOB_SUBMITTED = toEventSelector("JobSubmitted(uint64,uint64,uint8,address,bytes)");
export const JOB_SUBMITTED_FROM_QUOTE = toEventSelector(
  "JobSubmittedFromQuote(uint64,uint64,uint8,address,address[],uint256,bytes)",
);
export const JOB_RESULT_SUBMITTED = toEventSelector("JobResultSubmitted(uint64,uint64,address,bytes)");
export const JOB_COMPLETED = toEventSelector("JobCompleted(uint64,uint64)");
export const SERVICE_ACTIVATED = toEventSelector("ServiceActivated(uint64,uint64,uint64,uint8)");

export const GET_SERVICE_PAYMENT_ASSET = toFunctionSelector("getServicePaymentAsset(uint64)");

/** `approveService(ApprovalParams)`: there since 0.11. */
export const APPROVE_WITH_PARAMETERS = "0x6a46006b";

export const EVENT_DRIVEN = 2;
export const ACTIVE = 1;
