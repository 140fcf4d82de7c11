/** Sending a job, or creating a service: guard, send, and find what it became. */

import { bytesToHex, encodeFunctionData, keccak256, type Hex } from "viem";

import { JOB_SUBMITTED, JOB_SUBMITTED_FROM_QUOTE, SERVICE_ACTIVATED, TANGLE } from "./abi.js";
import type { Chain } from "./chain.js";
import { checkSubmission } from "./guard.js";
import { INLINE_BYTES, type CallInputs } from "./operations.js";
import { checkJobQuotes, checkServiceQuotes, type Several } from "./quote-guard.js";
import { createServiceCall, submitJobCall, type JobQuote, type ServiceQuote } from "./quotes.js";
import { reverted, senderOf, transact, type OnProgress, type Sending } from "./transactions.js";

const BY_HASH = "with an operator's endpoint and an apiKey there, large parts go by their hash";

/** A job that stands on-chain. */
export interface JobCall {
  serviceId: bigint;
  callId: bigint;
  transactionHash: Hex;
  block: bigint;
  priceWei: bigint;
  /** The canonical payload. */
  inputs: Uint8Array;
  /** Keccak-256 of the inputs: what a receipt for this job must name. */
  jobDigest: Hex;
}

/** A service that was created from quotes. */
export interface NewService {
  serviceId: bigint;
  transactionHash: Hex;
  block: bigint;
  costWei: bigint;
}

/** How a job is paid for: by its rate, unless there are quotes. */
export interface Payment {
  /** Nothing over it is paid. */
  maximumWei?: bigint | undefined;
  /** What the caller says that it costs; refused unless that is so. */
  valueWei?: bigint | undefined;
  quotes?: Several<JobQuote> | undefined;
}

/** A service to be created. */
export interface ServiceOrder {
  quotes: Several<ServiceQuote>;
  /** Besides the one who creates it. */
  permittedCallers: readonly Hex[];
  maximumWei: bigint;
  leastExposureBps: number;
}

/** Throws SubmissionRefused before anything is paid, TransactionFailed, ResultTimeout, ConnectionFailed. */
export async function submit(
  chain: Chain,
  sending: Sending,
  serviceId: bigint,
  { jobIndex, payload }: Pick<CallInputs, "jobIndex" | "payload">,
  { quotes, maximumWei, valueWei }: Payment,
  progress: OnProgress,
): Promise<JobCall> {
  progress("checking the service");
  const sender = senderOf(sending);
  const priceWei =
    quotes === undefined
      ? await checkSubmission(chain, serviceId, sender, maximumWei, jobIndex, valueWei)
      : await checkJobQuotes(chain, serviceId, sender, maximumWei, valueWei, quotes);
  const args = [serviceId, jobIndex, bytesToHex(payload)] as const;
  const data =
    quotes === undefined ? encodeFunctionData({ abi: TANGLE, functionName: "submitJob", args }) : submitJobCall(quotes);
  const hint = payload.length > INLINE_BYTES ? ` (inputs of ${payload.length} bytes; ${BY_HASH})` : "";
  const { transactionHash, logs } = await transact(chain, sending, data, priceWei, progress, hint);
  const event = quotes === undefined ? JOB_SUBMITTED : JOB_SUBMITTED_FROM_QUOTE;
  const log = logs.find((item) => item.topics[0] === event);
  if (log === undefined) throw reverted(transactionHash);
  const callId = BigInt(log.topics[2] ?? 0);
  return { serviceId, callId, transactionHash, block: log.block, priceWei, inputs: payload, jobDigest: keccak256(payload) };
}

/** Throws likewise. */
export async function createService(
  chain: Chain,
  sending: Sending,
  { quotes, permittedCallers, maximumWei, leastExposureBps }: ServiceOrder,
  progress: OnProgress,
): Promise<NewService> {
  progress("checking the quotes");
  const costWei = await checkServiceQuotes(chain, senderOf(sending), quotes, maximumWei, leastExposureBps);
  const data = createServiceCall(quotes, permittedCallers, "0x");
  const { transactionHash, logs } = await transact(chain, sending, data, costWei, progress);
  const log = logs.find((item) => item.topics[0] === SERVICE_ACTIVATED);
  if (log === undefined) throw reverted(transactionHash);
  return { serviceId: BigInt(log.topics[1] ?? 0), transactionHash, block: log.block, costWei };
}
