/** Job 0, `execute`, as it stands on-chain: the schema of its inputs and of its result. */

import { bytesOf, compareBytes } from "./bytes.js";
import type { FilesHash } from "./output-files.js";
import { checkVersion } from "./receipt.js";
import { decode, encode, field, type Field } from "./tlv.js";

/** Its index in the blueprint. */
export const EXECUTE_JOB = 0;

/** The limits by name, in order, with what they are when the caller names none. */
export const LIMITS = {
  timeout_ms: 30_000,
  memory_mb: 512,
  output_bytes: 1 << 20,
  processes: 64,
  disk_mb: 64,
  cpu_millicores: 1000,
} as const;

export type Limits = Record<keyof typeof LIMITS, number>;

const string = (name: string): Field => field("STRING", name);
const list = (name: string, child: Field): Field => field("LIST", name, [child]);
const struct = (name: string, ...children: Field[]): Field => field("STRUCT", name, children);

export const PARAMETERS: readonly Field[] = [
  string("language"),
  string("code"),
  field("BYTES", "stdin"),
  list("arguments", string("argument")),
  list("environment", struct("variable", string("name"), string("value"))),
  list("files", struct("file", string("path"), field("BYTES", "content"))),
  field("UINT64", "seed"),
  field("UINT64", "epoch"),
  struct("limits", ...Object.keys(LIMITS).map((name) => field("UINT32", name))),
  field("BOOL", "keep"),
];

const STREAM = [field("UINT64", "size"), field("BYTES32", "sha256"), field("BOOL", "truncated")];

const OUTCOME: readonly Field[] = [
  field("UINT8", "status"),
  field("INT32", "exit_code"),
  field("UINT8", "signal"),
  field("UINT64", "virtual_ns"),
  struct("stdout", ...STREAM),
  struct("stderr", ...STREAM),
  struct("files", field("UINT32", "count"), ...STREAM),
  struct("trace", field("UINT32", "count"), field("BYTES32", "sha256")),
];

export const RESULT: readonly Field[] = [
  field("UINT16", "version"),
  field("BYTES32", "profile_id"),
  field("BYTES32", "snapshot"),
  field("BYTES32", "toolchain"),
  field("BYTES32", "job_digest"),
  field("BYTES32", "state_root"),
  struct("outcome", ...OUTCOME),
  field("OPTIONAL", "output", [struct("streams", field("BYTES", "stdout"), field("BYTES", "stderr"))]),
  field("BYTES", "signature"),
];

/** The same layout in fewer fields: the schema of the other jobs' results. */
export const COMPACT_RESULT: readonly Field[] = [
  field("ARRAY", "words", [field("BYTES32", "word")], 10),
  field("FIXED_BYTES", "rest", [], 24),
  ...RESULT.slice(-2),
];

/** How a job ended, by number. */
export const STATUSES = ["exited", "signaled", "timeout", "out_of_memory", "failed"] as const;

export type RunStatus = (typeof STATUSES)[number];

/** A program and everything that its run depends on. */
export interface JobInputs {
  code: string;
  language: string;
  stdin: Uint8Array;
  arguments: readonly string[];
  envVars: Readonly<Record<string, string>>;
  files: Readonly<Record<string, Uint8Array>>;
  seed: number | bigint;
  epoch: number | bigint;
  limits: Limits;
  /** Keep the machine as a snapshot afterwards; exit handlers do not run then. */
  keep: boolean;
}

/** The canonical payload. Throws TypeError on what does not fit. */
export function encodeInputs(inputs: JobInputs): Uint8Array {
  return encode(PARAMETERS, {
    language: inputs.language,
    code: inputs.code,
    stdin: inputs.stdin,
    arguments: inputs.arguments,
    environment: sorted(inputs.envVars).map(([name, value]) => ({ name, value })),
    files: sorted(inputs.files).map(([path, content]) => ({ path, content })),
    seed: inputs.seed,
    epoch: inputs.epoch,
    limits: { ...inputs.limits },
    keep: inputs.keep,
  });
}

/** By code point of the name. */
function sorted<T>(entries: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(entries)
    .map(([name, value]) => ({ key: bytesOf(name), entry: [name, value] as [string, T] }))
    .sort((left, right) => compareBytes(left.key, right.key))
    .map(({ entry }) => entry);
}

/** What a result says of a stream: kept size in bytes, SHA-256, whether it was cut. */
export interface StreamHash {
  size: bigint;
  sha256: Uint8Array;
  truncated: boolean;
}

/** What a result says of the state roots on the run's way: how many, and the SHA-256 of all in a row. */
export interface TraceHash {
  count: number;
  sha256: Uint8Array;
}

/** What a receipt's outcome digest is made of. */
export interface Outcome {
  status: RunStatus;
  exitCode: number;
  signal: number;
  virtualNs: bigint;
  stdout: StreamHash;
  stderr: StreamHash;
  files: FilesHash;
  trace: TraceHash;
}

/** A result's payload, decoded. */
export interface PostedResult {
  version: number;
  profileId: Uint8Array;
  snapshot: Uint8Array;
  /** Zeros where nothing was compiled. */
  toolchain: Uint8Array;
  jobDigest: Uint8Array;
  stateRoot: Uint8Array;
  outcome: Outcome;
  /** Both streams, where they were posted whole. */
  output: { stdout: Uint8Array; stderr: Uint8Array } | null;
  signature: Uint8Array;
}

/** What the outcome digest is the Keccak-256 of. */
export function encodeOutcome(outcome: Outcome): Uint8Array {
  return encode(OUTCOME, {
    status: STATUSES.indexOf(outcome.status),
    exit_code: outcome.exitCode,
    signal: outcome.signal,
    virtual_ns: outcome.virtualNs,
    stdout: { ...outcome.stdout },
    stderr: { ...outcome.stderr },
    files: { ...outcome.files },
    trace: { ...outcome.trace },
  });
}

/** Throws TypeError when the payload is no result of job 0, UnknownVersion for one of another version. */
export function decodePosted(payload: Uint8Array): PostedResult {
  const [high, low] = payload;
  if (high !== undefined && low !== undefined) checkVersion(high * 256 + low);
  // The schema says what is where.
  const { profile_id, job_digest, state_root, ...rest } = decode(RESULT, payload) as unknown as WireResult;
  const { status, exit_code, virtual_ns, ...outcome } = rest.outcome;
  const named = STATUSES[status];
  if (named === undefined) throw new TypeError(`unknown status ${status}`);
  return {
    ...rest,
    profileId: profile_id,
    jobDigest: job_digest,
    stateRoot: state_root,
    outcome: { ...outcome, status: named, exitCode: exit_code, virtualNs: virtual_ns },
  };
}

interface WireResult extends Pick<PostedResult, "version" | "snapshot" | "toolchain" | "output" | "signature"> {
  profile_id: Uint8Array;
  job_digest: Uint8Array;
  state_root: Uint8Array;
  outcome: Pick<Outcome, "signal" | "stdout" | "stderr" | "files" | "trace"> & {
    status: number;
    exit_code: number;
    virtual_ns: bigint;
  };
}

