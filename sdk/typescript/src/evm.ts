/** An EVM chain with Tangle's contracts, as the client needs it. */

import type { Hex, LocalAccount } from "viem";

import { standingLog } from "./agreement.js";
import type { Chain } from "./chain.js";
import { ResultTimeout, SubmissionRefused } from "./errors.js";
import { findService } from "./guard.js";
import type { CallInputs } from "./operations.js";
import type { RestApi } from "./rest.js";
import {
  payloadOf,
  readEvidence,
  readResult,
  readStatus,
  readSubmitted,
  resultLogs,
  type CallStatus,
  type SubmittedCall,
  type TangleResult,
} from "./results.js";
import { createService, submit, type JobCall, type NewService, type Payment, type ServiceOrder } from "./submission.js";
import type { Looked, TangleChain } from "./tangle-chain.js";
import type { OnProgress, Sending } from "./transactions.js";
import { verifyPosted, verifyReceiptFile, type Verification } from "./verification.js";

const INCLUSION_TIMEOUT = 120_000;

export class EvmChain implements TangleChain {
  constructor(
    readonly chain: Chain,
    readonly account: LocalAccount | undefined,
    /** Nothing over it is paid for a job. */
    readonly maximumPriceWei: bigint | undefined,
    readonly pollInterval: number,
  ) {}

  get caller(): Hex {
    return (this.account?.address.toLowerCase() ?? "0x") as Hex;
  }

  get signs(): boolean {
    return this.account !== undefined;
  }

  use<T>(work: () => Promise<T>): Promise<T> {
    return this.chain.use(work);
  }

  findService(blueprintId: bigint): Promise<bigint> {
    return findService(this.chain, blueprintId, this.account?.address);
  }

  /** Only the chain knows what is too large for it: it is asked as the transaction is built. */
  checkInputs(): void {}

  /** This chain has them. */
  requireQuotes(): void {}

  submit(
    serviceId: bigint,
    inputs: CallInputs,
    payment: Payment,
    progress: OnProgress,
    signal: AbortSignal | undefined,
  ): Promise<JobCall> {
    const limited = { ...payment, maximumWei: this.maximumPriceWei };
    return submit(this.chain, this.#sending(signal), serviceId, inputs, limited, progress);
  }

  createService(order: ServiceOrder, progress: OnProgress, signal: AbortSignal | undefined): Promise<NewService> {
    return createService(this.chain, this.#sending(signal), order, progress);
  }

  #sending(signal: AbortSignal | undefined): Sending {
    if (this.account === undefined) throw new SubmissionRefused("no_key", "submitting a job takes a privateKey");
    return { account: this.account, inclusionTimeout: INCLUSION_TIMEOUT, pollInterval: this.pollInterval, signal };
  }

  submitted(serviceId: bigint, callId: bigint): Promise<SubmittedCall> {
    return readSubmitted(this.chain, serviceId, callId);
  }

  async firstResult(call: SubmittedCall, looked: Looked, endpoint: RestApi | undefined): Promise<TangleResult | undefined> {
    const logs = await resultLogs(this.chain, call);
    looked.answered = logs.length > 0;
    const log = await standingLog(this.chain, call, logs, payloadOf);
    return log && readResult(this.chain, call, log, endpoint);
  }

  status(call: SubmittedCall, endpoint: RestApi | undefined): Promise<CallStatus> {
    return readStatus(this.chain, call, endpoint);
  }

  async verify(call: SubmittedCall, result: TangleResult | undefined): Promise<Verification> {
    const logs = await resultLogs(this.chain, call);
    const log = logs.find((item) => result === undefined || item.transactionHash === result.transactionHash);
    if (log === undefined) throw new ResultTimeout(`no result of call ${call.callId} of service ${call.serviceId} yet`);
    const evidence = await readEvidence(this.chain, call, log);
    return result === undefined ? verifyPosted(evidence) : verifyReceiptFile(result.receiptFile(), evidence);
  }
}
