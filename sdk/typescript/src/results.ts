/** What was posted for a job, read from the logs; nothing else of a result is kept on-chain. */

import { bytesToHex, decodeAbiParameters, numberToHex, parseAbiParameters, sha256, type Hex } from "viem";

import { JOB_COMPLETED, JOB_RESULT_SUBMITTED, JOB_SUBMITTED, JOB_SUBMITTED_FROM_QUOTE, TANGLE } from "./abi.js";
import { looseText, sameBytes } from "./bytes.js";
import { RpcError, topic, type Chain, type Log } from "./chain.js";
import { ConnectionFailed, FaaSError, ResultUnreadable, TangleError } from "./errors.js";
import { decodeManifest, type FilesHash, type OutputFile } from "./output-files.js";
import { decodePosted, type PostedResult, type RunStatus, type StreamHash } from "./payload.js";
import { bytesOfHex, type Receipt } from "./receipt.js";
import { writeReceiptFile, type Bundle, type ReceiptFile } from "./receipt-file.js";
import type { RestApi } from "./rest.js";
import { bundleOf, type ChainEvidence } from "./verification.js";

/** A job call's own log, decoded. */
export interface SubmittedCall {
  serviceId: bigint;
  callId: bigint;
  caller: Hex;
  inputs: Uint8Array;
  transactionHash: Hex;
  block: bigint;
}

/** One operator's answer to a job. */
export class TangleResult {
  readonly serviceId: bigint;
  readonly callId: bigint;
  /** Who posted it, in lower case; on a Substrate chain, the address of the key that the account is registered with. */
  readonly operator: string;
  readonly status: RunStatus;
  readonly exitCode: number;
  readonly signal: number;
  /** Guest time; the same in every run of the same job. */
  readonly virtualNs: bigint;
  /** As text; what is not UTF-8 shows as U+FFFD. Undefined when it was posted by hash and no endpoint gave it. */
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
  /** Whether a stream was cut at the job's output limit. */
  readonly truncated: boolean;
  /** What the program left in its output folder; undefined when no endpoint gave the list. */
  readonly files: readonly OutputFile[] | undefined;
  /** What stands on-chain of the output files: count, sum of sizes, hash of their list. */
  readonly filesHash: FilesHash;
  /** All fields that the operator signed. */
  readonly receipt: Receipt;
  readonly signature: string;
  readonly transactionHash: Hex;
  readonly #bundle: Bundle;

  /** @internal */
  constructor(call: SubmittedCall, transactionHash: Hex, operator: string, bundle: Bundle, streams: Streams) {
    const { outcome } = bundle;
    this.serviceId = call.serviceId;
    this.callId = call.callId;
    this.operator = operator;
    this.status = outcome.status;
    this.exitCode = outcome.exitCode;
    this.signal = outcome.signal;
    this.virtualNs = outcome.virtualNs;
    this.stdout = streams.stdout && looseText(streams.stdout);
    this.stderr = streams.stderr && looseText(streams.stderr);
    this.truncated = outcome.stdout.truncated || outcome.stderr.truncated;
    this.files = bundle.manifest;
    this.filesHash = outcome.files;
    this.receipt = bundle.receipt;
    this.signature = bytesToHex(bundle.signature);
    this.transactionHash = transactionHash;
    this.#bundle = bundle;
  }

  /** The machine that was left; where it was kept, later jobs name it as a snapshot. */
  get stateRoot(): string {
    return this.receipt.state_root;
  }

  /** What `faas verify FILE` takes. */
  receiptFile(): ReceiptFile {
    return writeReceiptFile(this.#bundle);
  }
}

/** Where a job stands. */
export interface CallStatus {
  serviceId: bigint;
  callId: bigint;
  caller: Hex;
  transactionHash: Hex;
  /** Whether as many results are there as the service asks for; on a Substrate chain, any. */
  completed: boolean;
  results: TangleResult[];
}

interface Streams {
  stdout: Uint8Array | undefined;
  stderr: Uint8Array | undefined;
}

const PLAIN = parseAbiParameters("uint8, address, bytes");
const QUOTED = parseAbiParameters("uint8, address, address[], uint256, bytes");
const BYTES = parseAbiParameters("bytes");

/** The call's log. Throws TangleError when there is no such call. */
export async function readSubmitted(chain: Chain, serviceId: bigint, callId: bigint): Promise<SubmittedCall> {
  for (const event of [JOB_SUBMITTED, JOB_SUBMITTED_FROM_QUOTE]) {
    const logs = await chain.logs([event, topic(serviceId), topic(callId)], 0n, true);
    const log = logs.at(-1);
    if (log === undefined) continue;
    const [caller, inputs] = event === JOB_SUBMITTED ? plain(log) : quoted(log);
    const { transactionHash, block } = log;
    return { serviceId, callId, caller: caller.toLowerCase() as Hex, inputs: bytesOfHex(inputs), transactionHash, block };
  }
  throw new TangleError(`service ${serviceId} has no job call ${callId}`);
}

/** The logs of a call's results, the first one first. */
export function resultLogs(chain: Chain, call: SubmittedCall): Promise<Log[]> {
  return chain.logs([JOB_RESULT_SUBMITTED, topic(call.serviceId), topic(call.callId)], call.block);
}

/** All that stands on-chain of a call. */
export async function readStatus(chain: Chain, call: SubmittedCall, endpoint: RestApi | undefined): Promise<CallStatus> {
  const results: TangleResult[] = [];
  for (const log of await resultLogs(chain, call)) results.push(await readResult(chain, call, log, endpoint));
  const completed = await chain.logs([JOB_COMPLETED, topic(call.serviceId), topic(call.callId)], call.block);
  const { serviceId, callId, caller, transactionHash } = call;
  return { serviceId, callId, caller, transactionHash, completed: completed.length > 0, results };
}

/** A result. Throws ResultUnreadable when it is none, or when an endpoint gave other output than was signed. */
export async function readResult(
  chain: Chain,
  call: SubmittedCall,
  log: Log,
  endpoint: RestApi | undefined,
): Promise<TangleResult> {
  const held = { place: await placeOf(chain, call), inputs: call.inputs, payload: payloadOf(log), operator: operatorOf(log) };
  return makeResult(held, call, log.transactionHash, endpoint);
}

/** The same, of what a chain of either kind holds. */
export async function makeResult(
  held: Omit<ChainEvidence, "serves">,
  call: SubmittedCall,
  transactionHash: Hex,
  endpoint: RestApi | undefined,
): Promise<TangleResult> {
  const { operator } = held;
  let posted: PostedResult;
  try {
    posted = decodePosted(held.payload);
  } catch (error) {
    throw new ResultUnreadable(`what ${operator} posted is not a result: ${(error as Error).message}`, { cause: error });
  }
  const { outcome } = posted;
  const stdout = await stream(outcome.stdout, posted.output?.stdout, endpoint);
  const stderr = await stream(outcome.stderr, posted.output?.stderr, endpoint);
  const bundle: Bundle = {
    ...bundleOf(held, posted),
    output: stdout && stderr && { stdout, stderr },
    manifest: await manifest(outcome.files, endpoint),
  };
  return new TangleResult(call, transactionHash, operator, bundle, { stdout, stderr });
}

/** What the chain holds of a result, for its verification. */
export async function readEvidence(chain: Chain, call: SubmittedCall, log: Log): Promise<ChainEvidence> {
  const operator = operatorOf(log);
  return {
    place: await placeOf(chain, call),
    inputs: call.inputs,
    payload: payloadOf(log),
    operator,
    serves: await serves(chain, call.serviceId, operator, log.block),
  };
}

/** A file's bytes from the endpoint, checked against the list that the operator signed. */
export async function readOutputFile(
  result: TangleResult,
  path: string,
  endpoint: RestApi | undefined,
): Promise<Uint8Array> {
  if (endpoint === undefined || result.files === undefined) {
    throw new ResultUnreadable("output files are not on-chain: give the endpoint of an operator's API");
  }
  const file = result.files.find((item) => item.path === path);
  if (file === undefined) throw new ResultUnreadable(`the job left no output file '${path}'`);
  const content = await endpoint.bytes(`/blobs/${file.sha256.slice(2)}`);
  if (sha256(content) !== file.sha256) {
    throw new ResultUnreadable(`'${path}' is not the file that the operator signed: its SHA-256 differs`);
  }
  return content;
}

async function placeOf(chain: Chain, call: SubmittedCall): Promise<ChainEvidence["place"]> {
  return { chainId: await chain.id(), tangle: chain.tangle, serviceId: call.serviceId, callId: call.callId };
}

/** At the result's block; now, where the endpoint has forgotten that state: then a no says nothing. */
async function serves(chain: Chain, serviceId: bigint, operator: Hex, block: bigint): Promise<boolean | undefined> {
  try {
    return await chain.read(TANGLE, "isServiceOperator", [serviceId, operator], numberToHex(block));
  } catch (error) {
    if (!(error instanceof FaaSError) || !(error.cause instanceof RpcError)) throw error;
    return (await chain.read(TANGLE, "isServiceOperator", [serviceId, operator])) || undefined;
  }
}

/** The bytes, from the chain or from the endpoint; refused unless they hash to what was signed. */
async function stream(
  hash: StreamHash,
  inline: Uint8Array | undefined,
  endpoint: RestApi | undefined,
): Promise<Uint8Array | undefined> {
  const known = inline ?? (hash.size === 0n ? new Uint8Array() : undefined);
  const content = known ?? (await blob(hash.sha256, endpoint));
  if (content !== undefined && !sameBytes(sha256(content, "bytes"), hash.sha256)) {
    throw new ResultUnreadable("the output is not the one that the operator signed: its SHA-256 differs");
  }
  return content;
}

/** The list of files from the endpoint; refused unless it is the one that was signed. */
async function manifest(hash: FilesHash, endpoint: RestApi | undefined): Promise<OutputFile[] | undefined> {
  const data = hash.count === 0 ? Uint8Array.of(0) : await blob(hash.sha256, endpoint);
  if (data === undefined) return undefined;
  try {
    return decodeManifest(data, hash);
  } catch (error) {
    throw new ResultUnreadable(`the list of output files cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

/** Undefined where nobody gives it: the result stands without. */
async function blob(hash: Uint8Array, endpoint: RestApi | undefined): Promise<Uint8Array | undefined> {
  try {
    return await endpoint?.bytes(`/blobs/${bytesToHex(hash).slice(2)}`);
  } catch (error) {
    if (error instanceof FaaSError) return undefined;
    throw error;
  }
}

function plain(log: Log): [Hex, Hex] {
  const [, caller, inputs] = eventValues(log, () => decodeAbiParameters(PLAIN, log.data));
  return [caller, inputs];
}

function quoted(log: Log): [Hex, Hex] {
  const [, caller, , , inputs] = eventValues(log, () => decodeAbiParameters(QUOTED, log.data));
  return [caller, inputs];
}

/** What was posted. Throws ConnectionFailed. */
export function payloadOf(log: Log): Uint8Array {
  return bytesOfHex(eventValues(log, () => decodeAbiParameters(BYTES, log.data))[0]);
}

function operatorOf(log: Log): Hex {
  return `0x${(log.topics[3] ?? "").slice(-40).toLowerCase()}`;
}

function eventValues<T>(log: Log, decodeValues: () => T): T {
  try {
    return decodeValues();
  } catch (error) {
    throw new ConnectionFailed(`a log in ${log.transactionHash} cannot be read`, { cause: error });
  }
}
