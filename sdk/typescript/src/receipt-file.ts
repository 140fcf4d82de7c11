/**
 * The receipt file: one receipt with all that is needed to check it on another machine.
 *
 * `FaaSClient.receiptFile` and `TangleResult.receiptFile()` give it, `faas verify FILE` takes it. Reading it is
 * strict: nothing stands in a file that nobody looked at. Nothing is judged here; `verification` does.
 */

import { bytesToHex } from "viem";

import { exactNumber } from "./json.js";
import { checkManifest, type FilesHash, type OutputFile } from "./output-files.js";
import { STATUSES, type Outcome, type RunStatus, type StreamHash, type TraceHash } from "./payload.js";
import { bytesOfHex, checkVersion, RECEIPT_TYPES, type Receipt } from "./receipt.js";

interface StreamJson {
  size: number | bigint;
  sha256: string;
  truncated: boolean;
  content?: string;
}

interface FilesJson {
  count: number;
  size: number | bigint;
  sha256: string;
  truncated: boolean;
  manifest?: (OutputFile & { content?: string })[];
}

interface TraceJson {
  count: number;
  sha256: string;
  roots?: string[];
}

/** As JSON has it; bytes are `0x…`. */
export interface ReceiptFile {
  receipt: Receipt;
  signature: string;
  /** The canonical payload of the inputs. */
  job: string;
  outcome: {
    status: RunStatus;
    exit_code: number;
    signal: number;
    virtual_ns: number | bigint;
    stdout: StreamJson;
    stderr: StreamJson;
    files: FilesJson;
    trace: TraceJson;
  };
}

/** What an operator says, in full. */
export interface Bundle {
  receipt: Receipt;
  signature: Uint8Array;
  job: Uint8Array;
  outcome: Outcome;
  /** Both streams, where they are at hand. */
  output: { stdout: Uint8Array; stderr: Uint8Array } | undefined;
  /** A line for each output file, where it is known. */
  manifest: OutputFile[] | undefined;
  /** The files' contents, in the manifest's order, where they are at hand. */
  files: Uint8Array[] | undefined;
  /** The state roots on the run's way, where they are known. */
  trace: Uint8Array[] | undefined;
}

/** Throws TypeError naming what is wrong. */
export function readReceiptFile(data: unknown): Bundle {
  const file = fields(data, "the file", ["receipt", "signature", "job", "outcome"]);
  const receipt = readReceipt(file["receipt"]);
  checkVersion(receipt.version);
  const outcome = fields(file["outcome"], "outcome", [
    ...["status", "exit_code", "signal", "virtual_ns", "stdout", "stderr", "files", "trace"],
  ]);
  const stdout = readStream(outcome["stdout"], "outcome.stdout");
  const stderr = readStream(outcome["stderr"], "outcome.stderr");
  if ((stdout.content === undefined) !== (stderr.content === undefined)) {
    throw new TypeError("outcome: content must be there in both streams or in neither");
  }
  const status = STATUSES.find((name) => name === outcome["status"]);
  if (status === undefined) throw new TypeError("outcome.status is none of " + STATUSES.join(", "));
  const { hash, manifest, files } = readFiles(outcome["files"]);
  const trace = readTrace(outcome["trace"]);
  return {
    receipt,
    signature: bytes(file["signature"], "signature"),
    job: bytes(file["job"], "job"),
    outcome: {
      status,
      exitCode: Number(integer(outcome["exit_code"], "outcome.exit_code")),
      signal: Number(integer(outcome["signal"], "outcome.signal")),
      virtualNs: integer(outcome["virtual_ns"], "outcome.virtual_ns"),
      stdout: stdout.hash,
      stderr: stderr.hash,
      files: hash,
      trace: trace.hash,
    },
    output: stdout.content && stderr.content && { stdout: stdout.content, stderr: stderr.content },
    manifest,
    files,
    trace: trace.roots,
  };
}

/** The inverse, of a bundle whose output files are not at hand. */
export function writeReceiptFile(bundle: Bundle): ReceiptFile {
  const { receipt, outcome, output, manifest } = bundle;
  return {
    receipt: { ...receipt },
    signature: bytesToHex(bundle.signature),
    job: bytesToHex(bundle.job),
    outcome: {
      status: outcome.status,
      exit_code: outcome.exitCode,
      signal: outcome.signal,
      virtual_ns: exactNumber(outcome.virtualNs),
      stdout: { ...hashJson(outcome.stdout), ...(output && { content: bytesToHex(output.stdout) }) },
      stderr: { ...hashJson(outcome.stderr), ...(output && { content: bytesToHex(output.stderr) }) },
      files: { count: outcome.files.count, ...hashJson(outcome.files), ...(manifest && { manifest }) },
      trace: {
        count: outcome.trace.count,
        sha256: bytesToHex(outcome.trace.sha256),
        ...(bundle.trace && { roots: bundle.trace.map((root) => bytesToHex(root)) }),
      },
    },
  };
}

function hashJson(hash: StreamHash): StreamJson {
  return { size: exactNumber(hash.size), sha256: bytesToHex(hash.sha256), truncated: hash.truncated };
}

function readReceipt(data: unknown): Receipt {
  const values = fields(data, "receipt", Object.keys(RECEIPT_TYPES));
  for (const [name, type] of Object.entries(RECEIPT_TYPES)) {
    if (type.startsWith("uint")) integer(values[name], `receipt.${name}`);
    else bytes(values[name], `receipt.${name}`, type === "address" ? 20 : 32);
  }
  return values as unknown as Receipt;
}

function readStream(data: unknown, path: string): { hash: StreamHash; content: Uint8Array | undefined } {
  const values = fields(data, path, ["size", "sha256", "truncated"], ["content"]);
  const content = values["content"] === undefined ? undefined : bytes(values["content"], `${path}.content`);
  return { hash: readHash(values, path), content };
}

function readHash(values: Fields, path: string): StreamHash {
  return {
    size: integer(values["size"], `${path}.size`),
    sha256: bytes(values["sha256"], `${path}.sha256`, 32),
    truncated: boolean(values["truncated"], `${path}.truncated`),
  };
}

function readFiles(data: unknown): { hash: FilesHash } & Pick<Bundle, "manifest" | "files"> {
  const path = "outcome.files";
  const values = fields(data, path, ["count", "size", "sha256", "truncated"], ["manifest"]);
  const hash = { ...readHash(values, path), count: Number(integer(values["count"], `${path}.count`)) };
  const lines = values["manifest"];
  if (lines === undefined) return { hash, manifest: undefined, files: undefined };
  if (!Array.isArray(lines)) throw new TypeError(`${path}.manifest is not a list`);
  const read = lines.map((line: unknown, index) => readLine(line, `${path}.manifest[${index}]`));
  const manifest = read.map(({ file }) => file);
  checkManifest(manifest);
  const contents = read.flatMap(({ content }) => (content === undefined ? [] : [content]));
  if (contents.length > 0 && contents.length < manifest.length) {
    throw new TypeError(`${path}: content must be there in all files or in none`);
  }
  return { hash, manifest, files: contents.length === manifest.length ? contents : undefined };
}

function readLine(data: unknown, path: string): { file: OutputFile; content: Uint8Array | undefined } {
  const values = fields(data, path, ["path", "size", "sha256"], ["content"]);
  const name = values["path"];
  if (typeof name !== "string") throw new TypeError(`${path}.path is not a text`);
  const sha256 = bytesToHex(bytes(values["sha256"], `${path}.sha256`, 32));
  const content = values["content"] === undefined ? undefined : bytes(values["content"], `${path}.content`);
  return { file: { path: name, size: Number(integer(values["size"], `${path}.size`)), sha256 }, content };
}

function readTrace(data: unknown): { hash: TraceHash; roots: Uint8Array[] | undefined } {
  const path = "outcome.trace";
  const values = fields(data, path, ["count", "sha256"], ["roots"]);
  const hash = {
    count: Number(integer(values["count"], `${path}.count`)),
    sha256: bytes(values["sha256"], `${path}.sha256`, 32),
  };
  const roots = values["roots"];
  if (roots === undefined) return { hash, roots };
  if (!Array.isArray(roots)) throw new TypeError(`${path}.roots is not a list`);
  return { hash, roots: roots.map((root: unknown, index) => bytes(root, `${path}.roots[${index}]`, 32)) };
}

type Fields = Record<string, unknown>;

function fields(data: unknown, path: string, required: readonly string[], optional: readonly string[] = []): Fields {
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new TypeError(`${path} is not an object`);
  const missing = required.find((name) => !(name in data));
  if (missing !== undefined) throw new TypeError(`${path}: field '${missing}' is missing`);
  const unknown = Object.keys(data).find((name) => !required.includes(name) && !optional.includes(name));
  if (unknown !== undefined) throw new TypeError(`${path}: unknown field '${unknown}'`);
  return data as Fields;
}

function integer(value: unknown, path: string): bigint {
  if (typeof value !== "bigint" && !Number.isSafeInteger(value)) throw new TypeError(`${path} is not an integer`);
  return BigInt(value as number | bigint);
}

function boolean(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw new TypeError(`${path} is not true or false`);
  return value;
}

function bytes(value: unknown, path: string, length?: number): Uint8Array {
  const read = typeof value === "string" ? tryBytes(value) : undefined;
  if (read === undefined || (length !== undefined && read.length !== length)) {
    throw new TypeError(`${path} is not 0x and the hexadecimal digits of ${length ?? "some"} bytes`);
  }
  return read;
}

function tryBytes(text: string): Uint8Array | undefined {
  try {
    return bytesOfHex(text);
  } catch {
    return undefined;
  }
}
