/**
 * Jobs 1 to 5 of the blueprint as they stand on-chain: the schemas of their inputs, and the inputs.
 *
 * Snapshots go by their measurement, `0x` and 64 digits, as `stateRoot` of the result that made them says; where none
 * is given, it is the base. Parts of a program that are too large for a chain go by their SHA-256.
 */

import { hexToBytes, sha256, type Hex } from "viem";

import { bytesOf, compareBytes, type Content } from "./bytes.js";
import { encodeInputs, EXECUTE_JOB, PARAMETERS as EXECUTE_PARAMETERS, type JobInputs } from "./payload.js";
import { encode, field, type Field, type Value } from "./tlv.js";

const EXECUTE_WITH_OPTIONS = 1;
const CREATE_SNAPSHOT = 2;
const RESTORE_SNAPSHOT = 3;
const CREATE_BRANCH = 4;
const MERGE_BRANCHES = 5;

const MODES = ["ephemeral", "cached", "checkpointed", "branched"] as const;
const STRATEGIES = ["three_way", "ours", "theirs", "union"] as const;
const MAX_EPOCH = 4_102_444_800n;

/** How a program is run on-chain. */
export type ChainMode = (typeof MODES)[number];

/** What becomes of what both sides of a merge changed. */
export type MergeStrategy = (typeof STRATEGIES)[number];

/** Inputs over this size go by hash where there is an operator's API to bring them to. */
export const INLINE_BYTES = 16 << 10;

/** Parts of such inputs over this size become blobs. */
const PART_BYTES = 1 << 10;

const KIND = field("STRING", "kind");
const SNAPSHOT = field("BYTES32", "snapshot");
const FORK = field("STRUCT", "fork", [field("UINT64", "seed"), field("UINT64", "epoch"), field("BYTES", "identity")]);
const BLOB = field("STRUCT", "blob", [field("STRING", "part"), field("UINT64", "size"), field("BYTES32", "sha256")]);
const PROGRAM = [field("BYTES", "job"), field("LIST", "blobs", [BLOB])];

/** By job index. */
export const PARAMETERS: readonly (readonly Field[])[] = [
  EXECUTE_PARAMETERS,
  [KIND, field("STRING", "mode"), SNAPSHOT, field("OPTIONAL", "fork", [FORK]), ...PROGRAM],
  [KIND, SNAPSHOT, ...PROGRAM],
  [KIND, SNAPSHOT, field("UINT64", "challenge")],
  [KIND, SNAPSHOT, FORK],
  [KIND, field("BYTES32", "base"), field("LIST", "branches", [field("BYTES32", "branch")]), field("STRING", "strategy")],
];

const NAMES = [
  "",
  "execute_with_options/1",
  "create_snapshot/1",
  "restore_snapshot/1",
  "create_branch/1",
  "merge_branches/1",
] as const;

/** What tells a fork of a snapshot from its siblings. */
export interface Fork {
  /** 64 bits; default: 0. */
  seed?: number | bigint | undefined;
  /** Unix seconds that its clock is put forward to; default: 0, which leaves it. */
  epoch?: number | bigint | undefined;
  /** 32 bytes at the most; default: none. */
  identity?: Content | undefined;
}

/** How a program is run, beyond what job 0 says. */
export interface RunOptions {
  mode?: ChainMode | undefined;
  /** Measurement of the snapshot to start on. */
  snapshot?: string | undefined;
  /** Of mode branched. */
  fork?: Fork | undefined;
}

/** What is submitted: a job's index, its payload, and the blobs that it names. */
export interface CallInputs {
  jobIndex: number;
  payload: Uint8Array;
  blobs: readonly Uint8Array[];
}

/** The inputs of job 0, or of job 1 where they need it. Throws TypeError. */
export function programInputs(inputs: JobInputs, options: RunOptions, byHash: boolean): CallInputs {
  const whole = encodeInputs(inputs);
  const large = byHash && whole.length > INLINE_BYTES;
  const { mode = inputs.keep ? "checkpointed" : "ephemeral", snapshot, fork } = options;
  if (options.mode === undefined && snapshot === undefined && fork === undefined && !large) {
    return { jobIndex: EXECUTE_JOB, payload: whole, blobs: [] };
  }
  if (!MODES.includes(mode)) throw new TypeError(`mode '${mode}' is not served on-chain; choose one of: ${MODES.join(", ")}`);
  if (fork !== undefined && mode !== "branched") throw new TypeError("a fork belongs to mode branched");
  const keep = mode === "checkpointed" || mode === "branched";
  const { values, blobs } = programOf({ ...inputs, keep }, large);
  const record = mode === "branched" ? forkValues(fork ?? {}) : null;
  const payload = encoded(EXECUTE_WITH_OPTIONS, { mode, snapshot: measurement(snapshot), fork: record, ...values });
  return { jobIndex: EXECUTE_WITH_OPTIONS, payload, blobs };
}

/** Run a program and keep its machine. Throws TypeError. */
export function snapshotInputs(inputs: JobInputs, snapshot: string | undefined, byHash: boolean): CallInputs {
  const kept = { ...inputs, keep: true };
  const { values, blobs } = programOf(kept, byHash && encodeInputs(kept).length > INLINE_BYTES);
  const payload = encoded(CREATE_SNAPSHOT, { snapshot: measurement(snapshot), ...values });
  return { jobIndex: CREATE_SNAPSHOT, payload, blobs };
}

/** Have the operator show that it holds a snapshot. Throws TypeError. */
export function restoreInputs(snapshot: string, challenge: number | bigint): CallInputs {
  const payload = encoded(RESTORE_SNAPSHOT, { snapshot: measurement(snapshot), challenge });
  return { jobIndex: RESTORE_SNAPSHOT, payload, blobs: [] };
}

/** Fork a snapshot. Throws TypeError. */
export function branchInputs(snapshot: string | undefined, fork: Fork): CallInputs {
  const payload = encoded(CREATE_BRANCH, { snapshot: measurement(snapshot), fork: forkValues(fork) });
  return { jobIndex: CREATE_BRANCH, payload, blobs: [] };
}

/** Merge the files of branches into the first one, against the base. Throws TypeError. */
export function mergeInputs(branches: readonly string[], base: string | undefined, strategy: MergeStrategy): CallInputs {
  if (branches.length < 2 || branches.length > 16 || new Set(branches).size < branches.length) {
    throw new TypeError("name from 2 to 16 different branches");
  }
  if (!STRATEGIES.includes(strategy)) {
    throw new TypeError(`strategy '${strategy}' is not known; choose one of: ${STRATEGIES.join(", ")}`);
  }
  const values = { base: measurement(base), branches: branches.map(measurement), strategy };
  return { jobIndex: MERGE_BRANCHES, payload: encoded(MERGE_BRANCHES, values), blobs: [] };
}

function encoded(jobIndex: number, values: Record<string, Value>): Uint8Array {
  return encode(PARAMETERS[jobIndex] as readonly Field[], { kind: NAMES[jobIndex] as string, ...values });
}

/** The fields of a program, its larger parts as blobs if so. */
function programOf(inputs: JobInputs, large: boolean): { values: Record<string, Value>; blobs: Uint8Array[] } {
  const parts = new Map<string, Uint8Array>();
  if (large) {
    const code = bytesOf(inputs.code);
    if (code.length > PART_BYTES) parts.set("code", code);
    if (inputs.stdin.length > PART_BYTES) parts.set("stdin", inputs.stdin);
    for (const [path, content] of Object.entries(inputs.files)) {
      if (content.length > PART_BYTES) parts.set(`files/${path}`, content);
    }
  }
  const files = Object.entries(inputs.files).filter(([path]) => !parts.has(`files/${path}`));
  const small = {
    ...inputs,
    code: parts.has("code") ? "" : inputs.code,
    stdin: parts.has("stdin") ? new Uint8Array() : inputs.stdin,
    files: Object.fromEntries(files),
  };
  const listed = [...parts]
    .sort(([left], [right]) => compareBytes(bytesOf(left), bytesOf(right)))
    .map(([part, content]) => ({ part, size: content.length, sha256: sha256(content, "bytes") }));
  return { values: { job: encodeInputs(small), blobs: listed }, blobs: [...parts.values()] };
}

function forkValues(fork: Fork): Record<string, Value> {
  const { seed = 0, epoch = 0 } = fork;
  const identity = bytesOf(fork.identity ?? "");
  if (BigInt(seed) < 0n || BigInt(seed) >= 1n << 64n || BigInt(epoch) < 0n || BigInt(epoch) > MAX_EPOCH) {
    throw new TypeError("a fork's seed or epoch is out of range");
  }
  if (identity.length > 32) throw new TypeError("a fork's identity has 32 bytes at the most");
  return { seed, epoch, identity };
}

function measurement(text: string | undefined): Uint8Array {
  if (text === undefined) return new Uint8Array(32);
  if (!/^0x[0-9a-f]{64}$/i.test(text)) {
    throw new TypeError(`a snapshot is named by 0x and 64 hexadecimal digits, not '${text}'`);
  }
  return hexToBytes(text as Hex);
}
