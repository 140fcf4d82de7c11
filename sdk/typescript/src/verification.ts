/**
 * Whether what an operator says holds together: all that can be checked without running the job again.
 *
 * 1. *found*: the job and the result can be read, in a version that is known.
 * 2. *signature*: it is valid, and by the operator that the receipt names; on-chain also the account that Tangle
 *    saw sending the result.
 * 3. *standing*: that operator is one of the service's.
 * 4. *job*: the receipt's job digest is the Keccak-256 of the job's inputs, as the chain holds them.
 * 5. *place*: the receipt is for this chain, contract, service and call.
 * 6. *outcome*: the outcome at hand hashes to the receipt's outcome digest, and the output and the
 *    trace to the outcome's.
 *
 * The numbers are those of `faas verify`, which also runs the job again (7 and 8). Without that, a pass says who
 * answers for the result, not that the result is right. What only a chain can say (3, 5) is skipped for a file.
 */

import { bytesToHex as hex, concat, keccak256, sha256 } from "viem";

import { exactNumber } from "./json.js";
import { encodeManifest } from "./output-files.js";
import { decodePosted, encodeOutcome, type PostedResult, type StreamHash } from "./payload.js";
import { RECEIPT_VERSION, recoverSigner, UnknownVersion, type Receipt } from "./receipt.js";
import { readReceiptFile, type Bundle } from "./receipt-file.js";

export interface Finding {
  number: number;
  name: "found" | "signature" | "standing" | "job" | "place" | "outcome";
  status: "passed" | "failed" | "unchecked" | "skipped";
  detail: string;
}

export interface Verification {
  /** Whether nothing failed and nothing that had to be checked stayed open. */
  passed: boolean;
  findings: Finding[];
}

/** Which call of which service on which chain. */
export interface Place {
  chainId: bigint;
  /** The contract's address in lower case. */
  tangle: string;
  serviceId: bigint;
  callId: bigint;
}

/** One operator's answer to one job call, as the chain holds it. */
export interface ChainEvidence {
  place: Place;
  inputs: Uint8Array;
  payload: Uint8Array;
  /** Who sent it, as Tangle saw it, in lower case. */
  operator: string;
  /** Whether Tangle counts the operator among the service's; undefined when the endpoint cannot say. */
  serves: boolean | undefined;
}

interface Evidence {
  bundle: Bundle;
  chain?: ChainEvidence | undefined;
  posted?: PostedResult | undefined;
}

/** Checks a receipt file by itself, and against the chain where what it holds is given. */
export async function verifyReceiptFile(file: unknown, chain?: ChainEvidence): Promise<Verification> {
  try {
    const bundle = readReceiptFile(file);
    return await verified({ bundle, chain, posted: chain && decodePosted(chain.payload) });
  } catch (error) {
    return unreadable(error, chain === undefined ? "unchecked" : "failed");
  }
}

/** Checks what the chain alone holds. */
export async function verifyPosted(chain: ChainEvidence): Promise<Verification> {
  try {
    const posted = decodePosted(chain.payload);
    return await verified({ bundle: bundleOf(chain, posted), chain, posted });
  } catch (error) {
    return unreadable(error, "failed"); // its operator's doing
  }
}

/** The bundle of a posted result. */
export function bundleOf(chain: Omit<ChainEvidence, "serves" | "payload">, posted: PostedResult): Bundle {
  return {
    receipt: receiptOf(chain.place, chain.operator, posted),
    signature: posted.signature,
    job: chain.inputs,
    outcome: posted.outcome,
    output: posted.output ?? undefined,
    manifest: undefined,
    files: undefined,
    trace: undefined,
  };
}

/** All fields that the operator signed: the posted ones, and the place. */
function receiptOf(place: Place, operator: string, posted: PostedResult): Receipt {
  return {
    version: posted.version,
    profile_id: hex(posted.profileId),
    snapshot: hex(posted.snapshot),
    toolchain: hex(posted.toolchain),
    job_digest: hex(posted.jobDigest),
    outcome_digest: keccak256(encodeOutcome(posted.outcome)),
    state_root: hex(posted.stateRoot),
    virtual_ns: exactNumber(posted.outcome.virtualNs),
    chain_id: exactNumber(place.chainId),
    tangle: place.tangle,
    service_id: exactNumber(place.serviceId),
    call_id: exactNumber(place.callId),
    operator,
  };
}

async function verified(evidence: Evidence): Promise<Verification> {
  const findings = [
    found(evidence),
    await signature(evidence),
    standing(evidence),
    job(evidence),
    place(evidence),
    outcome(evidence),
  ];
  return { passed: findings.every(({ status }) => status === "passed" || status === "skipped"), findings };
}

function unreadable(error: unknown, status: Finding["status"]): Verification {
  if (!(error instanceof TypeError)) throw error;
  const known = !(error instanceof UnknownVersion);
  return { passed: false, findings: [{ number: 1, name: "found", status: known ? status : "unchecked", detail: error.message }] };
}

function found({ bundle }: Evidence): Finding {
  const { version } = bundle.receipt;
  const known = version === RECEIPT_VERSION;
  const detail = known ? `${bundle.job.length} bytes of inputs` : `version ${version} is not known here`;
  return { number: 1, name: "found", status: known ? "passed" : "unchecked", detail };
}

async function signature({ bundle, chain }: Evidence): Promise<Finding> {
  const signer = await recoverSigner(bundle.receipt, bundle.signature);
  const pairs: Pair[] = [["signer", bundle.receipt.operator, signer ?? "not to be found: the signature is not valid"]];
  if (chain !== undefined) pairs.push(["sender", bundle.receipt.operator, chain.operator]);
  return compared(2, "signature", `signed by ${signer}`, pairs);
}

function standing({ chain }: Evidence): Finding {
  const base = { number: 3, name: "standing" } as const;
  if (chain === undefined) return { ...base, status: "skipped", detail: "no chain was asked" };
  const service = `service ${chain.place.serviceId}`;
  if (chain.serves === undefined) {
    return { ...base, status: "unchecked", detail: `the endpoint cannot say who served ${service}` };
  }
  const detail = `${chain.operator} is ${chain.serves ? "an" : "not an"} operator of ${service}`;
  return { ...base, status: chain.serves ? "passed" : "failed", detail };
}

function job({ bundle, chain }: Evidence): Finding {
  const claimed = bundle.receipt.job_digest;
  const pairs: Pair[] = [["job_digest", claimed, keccak256(bundle.job)]];
  if (chain !== undefined) pairs.push(["job_digest on-chain", claimed, keccak256(chain.inputs)]);
  return compared(4, "job", `job ${claimed}`, pairs);
}

function place({ bundle, chain }: Evidence): Finding {
  if (chain === undefined) return { number: 5, name: "place", status: "skipped", detail: "no chain was asked" };
  const { receipt } = bundle;
  const asked = chain.place;
  return compared(5, "place", `call ${asked.callId} of service ${asked.serviceId} on chain ${asked.chainId}`, [
    ["chain_id", BigInt(receipt.chain_id), asked.chainId],
    ["tangle", receipt.tangle, asked.tangle],
    ["service_id", BigInt(receipt.service_id), asked.serviceId],
    ["call_id", BigInt(receipt.call_id), asked.callId],
  ]);
}

function outcome({ bundle, posted }: Evidence): Finding {
  const { receipt, output, manifest, files, trace } = bundle;
  const claimed = bundle.outcome;
  const pairs: Pair[] = [
    ["outcome_digest", receipt.outcome_digest, keccak256(encodeOutcome(claimed))],
    ["virtual_ns", BigInt(receipt.virtual_ns), claimed.virtualNs],
  ];
  if (posted !== undefined) {
    pairs.push(
      ["outcome_digest on-chain", receipt.outcome_digest, keccak256(encodeOutcome(posted.outcome))],
      ["state_root on-chain", receipt.state_root, hex(posted.stateRoot)],
      ["snapshot on-chain", receipt.snapshot, hex(posted.snapshot)],
      ["toolchain on-chain", receipt.toolchain, hex(posted.toolchain)],
      ["profile_id on-chain", receipt.profile_id, hex(posted.profileId)],
    );
  }
  if (output !== undefined) {
    pairs.push(...streamPairs("stdout", claimed.stdout, output.stdout));
    pairs.push(...streamPairs("stderr", claimed.stderr, output.stderr));
  }
  if (manifest !== undefined) {
    const size = manifest.reduce((sum, file) => sum + BigInt(file.size), 0n);
    pairs.push(["files.count", claimed.files.count, manifest.length], ["files.size", claimed.files.size, size]);
    pairs.push(["files.sha256", hex(claimed.files.sha256), sha256(encodeManifest(manifest))]);
    files?.forEach((content, index) => {
      const line = manifest[index];
      pairs.push([`file '${line?.path}' size`, line?.size ?? 0, content.length]);
      pairs.push([`file '${line?.path}'`, line?.sha256 ?? "", sha256(content)]);
    });
  }
  if (trace !== undefined) {
    pairs.push(["trace.count", claimed.trace.count, trace.length]);
    pairs.push(["trace.sha256", hex(claimed.trace.sha256), sha256(concat(trace))]);
  }
  const how = output === undefined ? "output by hash" : "output at hand";
  return compared(6, "outcome", `${claimed.status}, ${how}`, pairs);
}

function streamPairs(name: string, claimed: StreamHash, content: Uint8Array): Pair[] {
  return [
    [`${name}.size`, claimed.size, BigInt(content.length)],
    [`${name}.sha256`, hex(claimed.sha256), sha256(content)],
  ];
}

/** A field, what is claimed, what was found. */
type Pair = [field: string, claimed: string | number | bigint, found: string | number | bigint];

/** Passed with `detail` when all pairs are equal, else failed with those not. */
function compared(number: number, name: Finding["name"], detail: string, pairs: Pair[]): Finding {
  const differing = pairs.filter(([, claimed, there]) => normal(claimed) !== normal(there));
  if (differing.length === 0) return { number, name, status: "passed", detail };
  const named = differing.map(([field, claimed, there]) => `${field} is ${there}, not ${claimed}`);
  return { number, name, status: "failed", detail: named.join("; ") };
}

/** Hashes and addresses in lower case. */
function normal(value: string | number | bigint): string | number | bigint {
  return typeof value === "string" ? value.toLowerCase() : value;
}
