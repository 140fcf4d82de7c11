/** A transaction to Tangle: built with what it may cost, signed, sent once, waited for. */

import { keccak256, numberToHex, type Hex, type LocalAccount, type TransactionSerializable } from "viem";

import { pause } from "./abort.js";
import { logOf, revertName, RpcError, type Chain, type Log } from "./chain.js";
import { ConnectionFailed, ResultTimeout, SubmissionRefused, TransactionFailed } from "./errors.js";

/** Told what is going on, in words. */
export type OnProgress = (line: string) => void;

/** Who pays, and how to wait for a block. */
export interface Sending {
  account: LocalAccount;
  /** Milliseconds. */
  inclusionTimeout: number;
  pollInterval: number;
  signal: AbortSignal | undefined;
}

/** A transaction that is in a block and did what it should. */
export interface Included {
  transactionHash: Hex;
  /** Of Tangle's only. */
  logs: Log[];
}

/**
 * Throws SubmissionRefused before anything is paid (`hint` is added where Tangle would refuse the call),
 * TransactionFailed, ResultTimeout, ConnectionFailed.
 */
export async function transact(
  chain: Chain,
  sending: Sending,
  data: Hex,
  value: bigint,
  progress: OnProgress,
  hint = "",
): Promise<Included> {
  const raw = await signed(chain, sending, data, value, hint);
  const transactionHash = keccak256(raw);
  sending.signal?.throwIfAborted(); // from here on it is paid
  progress(`sending the transaction, paying ${value} wei`);
  await send(chain, raw, transactionHash);
  progress(`waiting for transaction ${transactionHash}`);
  const receipt = await inclusion(chain, sending, transactionHash);
  if (!Array.isArray(receipt["logs"])) throw new ConnectionFailed("the endpoint's receipt has no logs");
  if (BigInt(String(receipt["status"])) !== 1n) throw reverted(transactionHash);
  const logs = receipt["logs"].map(logOf).filter((log) => log.address === chain.tangle);
  return { transactionHash, logs };
}

/** What a transaction that did not do what it should throws. */
export function reverted(transactionHash: Hex): TransactionFailed {
  return new TransactionFailed(`transaction ${transactionHash} reverted`, { details: { transactionHash } });
}

/** The account's address, in lower case. */
export function senderOf(sending: Sending): Hex {
  return sending.account.address.toLowerCase() as Hex;
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
async function signed(chain: Chain, sending: Sending, data: Hex, value: bigint, hint: string): Promise<Hex> {
  const sender = senderOf(sending);
  const balance = await chain.number("eth_getBalance", sender, "latest");
  if (balance < value) throw insufficient(sender, balance, value);
  const query = { from: sender, to: chain.tangle, value: numberToHex(value), data };
  const gas = ((await estimatedGas(chain, query, hint)) * 5n) / 4n;
  const fees = await feesOf(chain);
  const needed = value + gas * ("gasPrice" in fees ? fees.gasPrice : fees.maxFeePerGas);
  if (balance < needed) throw insufficient(sender, balance, needed);
  const nonce = Number(await chain.number("eth_getTransactionCount", sender, "pending"));
  const chainId = Number(await chain.id());
  const transaction = { to: chain.tangle, value, data, gas, nonce, chainId, ...fees };
  return sending.account.signTransaction(transaction as TransactionSerializable);
}

async function estimatedGas(chain: Chain, query: object, hint: string): Promise<bigint> {
  try {
    return await chain.number("eth_estimateGas", query);
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    throw new SubmissionRefused("reverts", `Tangle would refuse it: ${revertName(error)}${hint}`);
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

async function inclusion(chain: Chain, sending: Sending, transactionHash: Hex): Promise<Record<string, unknown>> {
  const deadline = Date.now() + sending.inclusionTimeout;
  for (;;) {
    const receipt = await chain.call("eth_getTransactionReceipt", transactionHash);
    if (typeof receipt === "object" && receipt !== null) return receipt as Record<string, unknown>;
    if (Date.now() >= deadline) {
      const message = `transaction ${transactionHash} is in no block yet; it may still get there`;
      throw new ResultTimeout(message, { details: { transactionHash } });
    }
    await pause(sending.pollInterval, sending.signal);
  }
}

function insufficient(sender: string, balance: bigint, needed: bigint): SubmissionRefused {
  const message = `${sender} holds ${balance} wei, ${needed} may be needed`;
  return new SubmissionRefused("insufficient_funds", message, { balanceWei: balance, neededWei: needed });
}
