/**
 * Clients of a FaaS service: over REST (`FaaSClient`), and over Tangle (`TangleFaaSClient`).
 *
 * They depend on nothing of the node, and write to nothing but the service.
 */

export type { RequestOptions } from "./abort.js";
export type { Content } from "./bytes.js";
export { FaaSClient, type ExecuteOptions, type Health, type Range } from "./client.js";
export * from "./errors.js";
export type { Begun, ExecuteRequest, Execution, Language, Mode, Resources } from "./execution.js";
export type { ChainMode, Fork, MergeStrategy, RunOptions } from "./operations.js";
export type { FilesHash, OutputFile } from "./output-files.js";
export type { RunStatus } from "./payload.js";
export type { JobQuote, ResourceCommitment, SecurityCommitment, ServiceQuote } from "./quotes.js";
export { recoverSigner, type Receipt } from "./receipt.js";
export type { ReceiptFile } from "./receipt-file.js";
export type { ClientOptions } from "./rest.js";
export { TangleResult, type CallStatus } from "./results.js";
export type { components, operations, paths } from "./schema.js";
export type {
  Branch,
  ExecutionLine,
  Logs,
  Merged,
  Metadata,
  Page,
  Restored,
  Session,
  Snapshot,
} from "./state.js";
export { ExecutionStream, type Progress, type StreamEvent, type StreamListeners } from "./stream.js";
export type { JobCall, NewService } from "./submission.js";
export {
  DEVNET_TANGLE,
  TangleFaaSClient,
  type JobReference,
  type JobRequest,
  type PricedRequest,
  type QuotedRequest,
  type ServiceOptions,
  type ServiceRequest,
  type SubmitOptions,
  type TangleClientOptions,
  type WaitOptions,
} from "./tangle.js";
export type { OnProgress } from "./transactions.js";
export { Usage, type CurrentUsage, type Period, type UsageMetrics } from "./usage.js";
export { verifyReceiptFile, type ChainEvidence, type Finding, type Place, type Verification } from "./verification.js";
