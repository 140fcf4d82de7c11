/** Sending a job: guard, build, sign, send, and find the call that it became. */

import {
  bytesToHex,
  encodeFunctionData,
  keccak256,
  numberToHex,
  type Hex,
  type LocalAccount,
  type TransactionSerializable,
} from "viem";

import { JOB_SUBMITTED, TANGLE } from "./abi.js";
import { pause } from "./abort.js";
import { logOf, revertName, RpcError, type Chain, type Log } from "./chain.js";
import { ConnectionFailed, ResultTimeout, SubmissionRefused, TransactionFailed } from "./errors.js";
import { checkSubmission } from "./guard.js";
import { INLINE_BYTES } from "./operations.js";
import { EXECUTE_JOB } from "./payload.js";

const BY_HASH = "with an operator's endpoint and an apiKey there, large parts go by their hash";

/** Told what is going on, in words. */
export type OnProgress = (line: string) => void;

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

/** What is sent, by whom, and how to wait for a block. */
export interface Submission {
  account: LocalAccount;
  serviceId: bigint;
  inputs: Uint8Array;
  /** Default: job 0. */
  jobIndex?: number | undefined;
  maximumPriceWei: bigint | undefined;
  /** Milliseconds. */
  inclusionTimeout: number;
  pollInterval: number;
  signal: AbortSignal | undefined;
}

/** Throws SubmissionRefused, TransactionFailed, ResultTimeout, ConnectionFailed. */
export async function submit(chain: Chain, job: Submission, progress: OnProgress): Promise<JobCall> {
  progress("checking the service");
  const priceWei = await checkSubmission(chain, job.serviceId, address(job), job.maximumPriceWei, job.jobIndex);
  const raw = await signed(chain, job, priceWei);
  const transactionHash = keccak256(raw);
  job.signal?.throwIfAborted(); // from here on it is paid
  progress(`submitting the job, paying ${priceWei} wei`);
  await send(chain, raw, transactionHash);
  progress(`waiting for transaction ${transactionHash}`);
  const receipt = await inclusion(chain, job, transactionHash);
  const log = submittedLog(chain, receipt);
  if (BigInt(String(receipt["status"])) !== 1n || log === undefined) {
    throw new TransactionFailed(`transaction ${transactionHash} reverted`, { details: { transactionHash } });
  }
  const { serviceId, inputs } = job;
  const callId = BigInt(log.topics[2] ?? 0);
  return { serviceId, callId, transactionHash, block: log.block, priceWei, inputs, jobDigest: keccak256(inputs) };
}

async function send(chain: Chain, raw: Hex, transactionHash: Hex): Promise<void> {
  try {
    await chain.call("eth_sendRawTransaction", raw);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    // Sent again after a lost answer, it may be there already, even in a block: then all is well.
    if ((await chain.call("eth_getTransactionByHash", transactionHash)) === null) {
      throw new SubmissionRefused("rejected", `the endpoint rejects the transaction: ${error.message}`);
    }
  }
}

/** The signed transaction. */
async function signed(chain: Chain, job: Submission, value: bigint): Promise<Hex> {
  const sender = address(job);
  const args = [job.serviceId, job.jobIndex ?? EXECUTE_JOB, bytesToHex(job.inputs)] as const;
  const data = encodeFunctionData({ abi: TANGLE, functionName: "submitJob", args });
  const balance = await chain.number("eth_getBalance", sender, "latest");
  if (balance < value) throw insufficient(sender, balance, value);
  const query = { from: sender, to: chain.tangle, value: numberToHex(value), data };
  const gas = ((await estimatedGas(chain, query, job.inputs.length)) * 5n) / 4n;
  const fees = await feesOf(chain);
  const needed = value + gas * ("gasPrice" in fees ? fees.gasPrice : fees.maxFeePerGas);
  if (balance < needed) throw insufficient(sender, balance, needed);
  const nonce = Number(await chain.number("eth_getTransactionCount", sender, "pending"));
  const chainId = Number(await chain.id());
  const transaction = { to: chain.tangle, value, data, gas, nonce, chainId, ...fees };
  return job.account.signTransaction(transaction as TransactionSerializable);
}

async function estimatedGas(chain: Chain, query: object, size: number): Promise<bigint> {
  try {
    return await chain.number("eth_estimateGas", query);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    const hint = size > INLINE_BYTES ? ` (inputs of ${size} bytes; ${BY_HASH})` : "";
    throw new SubmissionRefused("reverts", `Tangle would refuse the job: ${revertName(error)}${hint}`);
  }
}

type Fees = { type: "legacy"; gasPrice: bigint } | { type: "eip1559"; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint };

/** EIP-1559 with room for the base fee to double; the gas price where a chain has no base fee. */
async function feesOf(chain: Chain): Promise<Fees> {
  const { baseFee } = await chain.newestBlock();
  if (baseFee === undefined) return { type: "legacy", gasPrice: await chain.number("eth_gasPrice") };
  const tip = await chain.number("eth_maxPriorityFeePerGas");
  return { type: "eip1559", maxFeePerGas: 2n * baseFee + tip, maxPriorityFeePerGas: tip };
}

async function inclusion(chain: Chain, job: Submission, transactionHash: Hex): Promise<Record<string, unknown>> {
  const deadline = Date.now() + job.inclusionTimeout;
  for (;;) {
    const receipt = await chain.call("eth_getTransactionReceipt", transactionHash);
    if (typeof receipt === "object" && receipt !== null) return receipt as Record<string, unknown>;
    if (Date.now() >= deadline) {
      const message = `transaction ${transactionHash} is in no block yet; it may still get there`;
      throw new ResultTimeout(message, { details: { transactionHash } });
    }
    await pause(job.pollInterval, job.signal);
  }
}

function submittedLog(chain: Chain, receipt: Record<string, unknown>): Log | undefined {
  if (!Array.isArray(receipt["logs"])) throw new ConnectionFailed("the endpoint's receipt has no logs");
  const logs = receipt["logs"].map(logOf);
  return logs.find((log) => log.address === chain.tangle && log.topics[0] === JOB_SUBMITTED);
}

function address(job: Submission): Hex {
  return job.account.address.toLowerCase() as Hex;
}

function insufficient(sender: string, balance: bigint, needed: bigint): SubmissionRefused {
  const message = `${sender} holds ${balance} wei, ${needed} may be needed`;
  return new SubmissionRefused("insufficient_funds", message, { balanceWei: balance, neededWei: needed });
}
