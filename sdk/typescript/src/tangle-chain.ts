/** What the client needs of a chain with Tangle on it, whichever of the two kinds it is. No logic here. */

import type { CallInputs } from "./operations.js";
import type { RestApi } from "./rest.js";
import type { CallStatus, SubmittedCall, TangleResult } from "./results.js";
import type { JobCall, NewService, Payment, ServiceOrder } from "./submission.js";
import type { OnProgress } from "./transactions.js";
import type { Verification } from "./verification.js";

/** What was seen of a call while its result was waited for. */
export interface Looked {
  /** The last block that was looked at. */
  upTo: number;
  /** Whether there are results, though none that stands. */
  answered: boolean;
}

export interface TangleChain {
  /** The customer's account; `0x` when there is no key. */
  readonly caller: `0x${string}`;
  /** Whether there is a key. */
  readonly signs: boolean;
  /** Carries out what needs the chain; connections are closed when nobody does any more. */
  use<T>(work: () => Promise<T>): Promise<T>;
  /** The newest service of the blueprint that the customer may use. Throws SubmissionRefused. */
  findService(blueprintId: bigint): Promise<bigint>;
  /** Throws SubmissionRefused for what no transaction can carry, before anything is uploaded. */
  checkInputs(inputs: CallInputs): void;
  /** Sends a job. Throws SubmissionRefused before anything is paid, TransactionFailed, ResultTimeout. */
  submit(
    serviceId: bigint,
    inputs: CallInputs,
    payment: Payment,
    progress: OnProgress,
    signal: AbortSignal | undefined,
  ): Promise<JobCall>;
  /** Throws SubmissionRefused on a chain that has no quotes. */
  requireQuotes(): void;
  /** A service from quotes. Throws as `submit`. */
  createService(order: ServiceOrder, progress: OnProgress, signal: AbortSignal | undefined): Promise<NewService>;
  /** A job call as it stands. Throws TangleError when there is none. */
  submitted(serviceId: bigint, callId: bigint): Promise<SubmittedCall>;
  /** The result of a call that stands, in blocks that were not looked at yet; undefined when there is none. */
  firstResult(call: SubmittedCall, looked: Looked, endpoint: RestApi | undefined): Promise<TangleResult | undefined>;
  /** All that stands of a call. */
  status(call: SubmittedCall, endpoint: RestApi | undefined): Promise<CallStatus>;
  /** A result, or the call's first one, against the chain. Throws ResultTimeout. */
  verify(call: SubmittedCall, result: TangleResult | undefined): Promise<Verification>;
}
