/**
 * Calls and results of the Services pallet, read from events of final blocks.
 *
 * The pallet keeps one result per call, the newest from any operator registered for the blueprint, whether it serves
 * or not. So its storage only says that there is something to look for: a result counts when its account serves the
 * service, and its receipt is held against the key that this account is registered with.
 */

import { bytesToHex, keccak256, type Hex } from "viem";

import { ConnectionFailed, ResultUnreadable, TangleError } from "./errors.js";
import { hashOf } from "./extrinsic.js";
import { fromFields } from "./fields.js";
import { PARAMETERS } from "./operations.js";
import { COMPACT_RESULT, EXECUTE_JOB, RESULT } from "./payload.js";
import type { RuntimeEvent } from "./polkadot.js";
import { bytesOfHex } from "./receipt.js";
import type { RestApi } from "./rest.js";
import { makeResult, type SubmittedCall, type TangleResult } from "./results.js";
import { operatorsOf } from "./substrate-guard.js";
import type { Block, SubstrateNode } from "./substrate-node.js";
import type { ChainEvidence } from "./verification.js";

/** Set in the chain ids that receipts of Substrate chains name. */
const SUBSTRATE_BIT = 1n << 62n;

/** A result as an operator of the service posted it. */
export interface Posted {
  /** Address of the key that the account is registered with. */
  operator: Hex;
  jobIndex: number;
  /** A Vec<Field>. */
  fields: Uint8Array;
  transactionHash: Hex;
}

/** The call's event. Throws TangleError when there is no such call in a final block. */
export async function readSubmitted(node: SubstrateNode, serviceId: bigint, callId: bigint): Promise<SubmittedCall> {
  const head = await node.finalised();
  const key = (await node.state(head)).query.services.jobCalls.key(serviceId, callId);
  if ((await node.raw(head, key)) === null) {
    throw new TangleError(`service ${serviceId} has no job call ${callId} in a final block (ids count all of the chain)`);
  }
  const block = await blockOf(node, head, key);
  const found = (await node.events(block)).find((item) => isOf(item, "JobCalled", 1, serviceId, callId));
  if (found === undefined) throw new ResultUnreadable(`block ${block.number} does not tell of call ${callId}`);
  const [caller, , , job, args] = found.event.data;
  return {
    serviceId,
    callId,
    caller: caller?.toHex() ?? "0x",
    inputs: inputsOf(job?.toNumber() ?? 0, args?.toU8a() ?? new Uint8Array()),
    transactionHash: await transactionOf(node, block, found),
    block: BigInt(block.number),
  };
}

/** The canonical payload; arguments that carry none are handed on as they are, for they are no job. */
function inputsOf(jobIndex: number, args: Uint8Array): Uint8Array {
  try {
    return fromFields(PARAMETERS[jobIndex] ?? [], args);
  } catch {
    return args;
  }
}

/** The first result that is wanted, in blocks from `first` to the head. */
export async function firstPosted(
  node: SubstrateNode,
  call: SubmittedCall,
  first: number,
  head: Block,
  wanted: (posted: Posted) => boolean,
): Promise<Posted | undefined> {
  if ((await standing(node, call, head)) === null) return undefined;
  for (let number = first; number <= head.number; number += 1) {
    for (const posted of await postedIn(node, call, await node.block(number))) if (wanted(posted)) return posted;
  }
  return undefined;
}

/** All results up to the one that stands. */
export async function postedOf(node: SubstrateNode, call: SubmittedCall): Promise<Posted[]> {
  const head = await node.finalised();
  const stands = await standing(node, call, head);
  const found: Posted[] = [];
  if (stands === null) return found;
  for (let number = Number(call.block); number <= head.number; number += 1) {
    for (const posted of await postedIn(node, call, await node.block(number))) {
      found.push(posted);
      if (stands.slice(34) === bytesToHex(posted.fields).slice(2)) return found; // after both ids
    }
  }
  return found;
}

/** A result. Throws ResultUnreadable. */
export function resultOf(
  node: SubstrateNode,
  call: SubmittedCall,
  posted: Posted,
  endpoint: RestApi | undefined,
): Promise<TangleResult> {
  return makeResult(readPosted(node, call, posted), call, posted.transactionHash, endpoint);
}

/** What the chain holds of a result. */
export function readPosted(node: SubstrateNode, call: SubmittedCall, posted: Posted): Omit<ChainEvidence, "serves"> {
  const genesis = node.api.genesisHash.toHex();
  const { serviceId, callId, inputs } = call;
  const chainId = SUBSTRATE_BIT | (BigInt(genesis.slice(0, 18)) >> 2n);
  const place = { chainId, tangle: `0x${genesis.slice(-40)}`, serviceId, callId };
  return { place, inputs, payload: payloadOf(posted), operator: posted.operator };
}

/** What is no result stays as it is: then nothing that reads it finds one. */
function payloadOf(posted: Posted): Uint8Array {
  try {
    return fromFields(posted.jobIndex === EXECUTE_JOB ? RESULT : COMPACT_RESULT, posted.fields);
  } catch {
    return posted.fields;
  }
}

/** What storage holds of the call's results. */
async function standing(node: SubstrateNode, call: SubmittedCall, head: Block): Promise<Hex | null> {
  const { jobResults } = (await node.state(head)).query.services;
  return node.raw(head, jobResults.key(call.serviceId, call.callId));
}

async function postedIn(node: SubstrateNode, call: SubmittedCall, block: Block): Promise<Posted[]> {
  const found: Posted[] = [];
  for (const item of await node.events(block)) {
    if (!isOf(item, "JobResultSubmitted", 1, call.serviceId, call.callId)) continue;
    const [account, , , job, result] = item.event.data;
    const operator = await operatorOf(node, block, call.serviceId, account?.toHex() ?? "0x");
    if (operator === undefined) continue;
    const fields = result?.toU8a() ?? new Uint8Array();
    const transactionHash = await transactionOf(node, block, item);
    found.push({ operator, jobIndex: job?.toNumber() ?? 0, fields, transactionHash });
  }
  return found;
}

/** The address of the account's registered key; undefined when it does not serve. */
async function operatorOf(node: SubstrateNode, block: Block, serviceId: bigint, account: Hex): Promise<Hex | undefined> {
  const { services } = (await node.state(block)).query;
  const service = await node.stored(block, services.instances, serviceId);
  if (service === undefined || !operatorsOf(service).includes(account)) return undefined;
  const preferences = await node.stored(block, services.operators, service.blueprint.toBigInt(), account);
  return preferences && `0x${keccak256(preferences.key.toU8a().subarray(1)).slice(-40)}`;
}

/** Found by halving: its entry stays from then on. State that is forgotten is too old. */
async function blockOf(node: SubstrateNode, head: Block, key: string): Promise<Block> {
  let [low, high] = [0, head.number];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isThere(node, middle, key)) high = middle;
    else low = middle + 1;
  }
  return node.block(low);
}

async function isThere(node: SubstrateNode, number: number, key: string): Promise<boolean> {
  try {
    return (await node.raw(await node.block(number), key)) !== null;
  } catch (error) {
    if (error instanceof ConnectionFailed) return false;
    throw error;
  }
}

async function transactionOf(node: SubstrateNode, block: Block, { phase }: RuntimeEvent): Promise<Hex> {
  const encoded = (await node.body(block))[phase.asApplyExtrinsic.toNumber()];
  return hashOf(bytesOfHex(encoded ?? "0x"));
}

function isOf({ event }: RuntimeEvent, method: string, at: number, serviceId: bigint, callId: bigint): boolean {
  return (
    event.section === "services" &&
    event.method === method &&
    event.data[at]?.toBigInt() === serviceId &&
    event.data[at + 1]?.toBigInt() === callId
  );
}
