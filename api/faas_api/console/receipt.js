// Checks a receipt file in the browser: who signed it, and whether all that it holds is what was signed.
//
// The numbers are those of `faas verify`, which asks the chain too (3, 5) and runs the job again (7, 8). Without
// that, a pass says who answers for the outcome, not that the outcome is right.

import { keccak_256 as keccak256, secp256k1, sha256 } from "./vendor/noble.js";

const VERSION = 3;

/** Fields of the signed type in order; in the EIP-712 type their names are in camel case. */
const TYPES = {
  version: "uint16",
  profile_id: "bytes32",
  snapshot: "bytes32",
  toolchain: "bytes32",
  job_digest: "bytes32",
  outcome_digest: "bytes32",
  state_root: "bytes32",
  virtual_ns: "uint64",
  chain_id: "uint256",
  tangle: "address",
  service_id: "uint64",
  call_id: "uint64",
  operator: "address",
};
const DOMAIN_TYPE = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const STATUSES = ["exited", "signaled", "timeout", "out_of_memory", "failed"];
const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/**
 * `{passed, findings: [{number, name, status, detail}]}`; a status is passed, failed or unchecked. Never throws for
 * what a file holds. `shown` is what the API says of the same execution: it must not say anything else.
 */
export function verify(file, shown) {
  let read;
  try {
    read = readFile(file);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { passed: false, findings: [finding(1, "found", "unchecked", error.message)] };
  }
  const findings = [found(read), signature(read), job(read), outcome(read)];
  if (shown !== undefined) findings.push(page(read, shown));
  return { passed: findings.every(({ status }) => status === "passed"), findings };
}

function finding(number, name, status, detail) {
  return { number, name, status, detail };
}

function found({ receipt, job }) {
  const known = receipt.version === VERSION;
  const detail = known ? `a receipt of version ${VERSION}, ${job.length} bytes of job` : `version ${receipt.version} is not known here`;
  return finding(1, "found", known ? "passed" : "unchecked", detail);
}

function signature({ receipt, signature }) {
  const signer = recoverSigner(receipt, signature) ?? "nobody: the signature is not valid";
  return compared(2, "signature", `signed by ${signer}`, [["operator", receipt.operator.toLowerCase(), signer]]);
}

function job({ receipt, job }) {
  return compared(4, "job", `the job hashes to ${receipt.job_digest}`, [["job_digest", receipt.job_digest, hex(keccak256(job))]]);
}

function outcome({ receipt, outcome, manifest, roots }) {
  const pairs = [
    ["outcome_digest", receipt.outcome_digest, hex(keccak256(encodeOutcome(outcome)))],
    ["virtual_ns", receipt.virtual_ns, outcome.virtual_ns],
  ];
  for (const name of ["stdout", "stderr"]) pairs.push(...contentPairs(name, outcome[name]));
  if (manifest !== undefined) {
    const size = manifest.reduce((sum, line) => sum + line.size, 0);
    pairs.push(["files.count", outcome.files.count, manifest.length], ["files.size", outcome.files.size, size]);
    pairs.push(["files.sha256", outcome.files.sha256, hex(sha256(encodeManifest(manifest)))]);
    for (const line of manifest) pairs.push(...contentPairs(`file '${line.path}'`, line));
  }
  if (roots !== undefined) {
    pairs.push(["trace.count", outcome.trace.count, roots.length], ["trace.sha256", outcome.trace.sha256, hex(sha256(joined(...roots)))]);
  }
  const hashed = [outcome.stdout, outcome.stderr, ...(manifest ?? [])].filter(({ bytes }) => bytes !== undefined).length;
  return compared(6, "outcome", `outcome and ${hashed} hashes of output are those that were signed`, pairs);
}

function page({ receipt, outcome }, shown) {
  const pairs = Object.keys(TYPES).map((name) => [`receipt.${name} on this page`, shown.receipt[name], receipt[name]]);
  pairs.push(["exit_code on this page", shown.exit_code, outcome.exit_code]);
  for (const name of ["stdout", "stderr"]) {
    if (outcome[name].bytes === undefined) continue;
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(outcome[name].bytes);
    pairs.push([`${name} on this page`, text === shown[name] ? "the signed one" : "another", "the signed one"]);
  }
  return compared(9, "page", "this page shows what was signed", pairs);
}

function contentPairs(name, { size, sha256: claimed, bytes }) {
  if (bytes === undefined) return [];
  return [[`${name} size`, size, bytes.length], [`${name} SHA-256`, claimed, hex(sha256(bytes))]];
}

/** Passed with `detail` when what is claimed and what was found are equal in all `[field, claimed, found]`. */
function compared(number, name, detail, pairs) {
  const differing = pairs.filter(([, claimed, there]) => String(claimed).toLowerCase() !== String(there));
  if (differing.length === 0) return finding(number, name, "passed", detail);
  return finding(number, name, "failed", differing.map(([field, claimed, there]) => `${field} is ${there}, not ${claimed}`).join("; "));
}

// -- who signed

/** The address in lower case, or undefined when the signature is not valid. */
export function recoverSigner(receipt, signature) {
  const v = signature[64];
  if (signature.length !== 65 || (v !== 27 && v !== 28)) return undefined;
  if (BigInt(hex(signature.subarray(32, 64))) > HALF_ORDER) return undefined; // another spelling of a valid one
  try {
    const parsed = secp256k1.Signature.fromCompact(signature.subarray(0, 64)).addRecoveryBit(v - 27);
    const key = parsed.recoverPublicKey(signingDigest(receipt)).toRawBytes(false);
    return hex(keccak256(key.subarray(1)).subarray(12));
  } catch {
    return undefined; // no point of the curve
  }
}

function signingDigest(receipt) {
  const names = Object.entries(TYPES).map(([name, type]) => `${type} ${camel(name)}`);
  const domain = keccak256(joined(
    textHash(DOMAIN_TYPE), textHash("FaaS Receipt"), textHash("3"), word(receipt.chain_id), word(receipt.tangle),
  ));
  const struct = keccak256(joined(textHash(`Receipt(${names.join(",")})`), ...Object.keys(TYPES).map((name) => word(receipt[name]))));
  return keccak256(joined(Uint8Array.of(0x19, 0x01), domain, struct));
}

function camel(name) {
  return name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
}

function textHash(text) {
  return keccak256(new TextEncoder().encode(text));
}

function word(value) {
  return typeof value === "number" ? bigEndian(value, 32) : joined(new Uint8Array(32 - (value.length - 2) / 2), bytesOf(value));
}

// -- the canonical encodings: values one after the other, structs and lists with their number of items

function encodeOutcome({ status, exit_code: exitCode, signal, virtual_ns: virtualNs, stdout, stderr, files, trace }) {
  return joined(
    Uint8Array.of(STATUSES.indexOf(status)), bigEndian(exitCode, 4), Uint8Array.of(signal), bigEndian(virtualNs, 8),
    Uint8Array.of(3), streamBytes(stdout), Uint8Array.of(3), streamBytes(stderr),
    Uint8Array.of(4), bigEndian(files.count, 4), streamBytes(files),
    Uint8Array.of(2), bigEndian(trace.count, 4), bytesOf(trace.sha256),
  );
}

function streamBytes({ size, sha256: digest, truncated }) {
  return joined(bigEndian(size, 8), bytesOf(digest), Uint8Array.of(Number(truncated)));
}

function encodeManifest(manifest) {
  const lines = manifest.map(({ path, size, sha256: digest }) => {
    const name = new TextEncoder().encode(path);
    return joined(Uint8Array.of(3), count(name.length), name, bigEndian(size, 8), bytesOf(digest));
  });
  return joined(count(lines.length), ...lines);
}

/** A length in its shortest form. */
function count(value) {
  if (value < 0x80) return Uint8Array.of(value);
  if (value < 0x4000) return Uint8Array.of(0x80 | (value >> 8), value & 0xff);
  const width = Math.ceil(value.toString(16).length / 2);
  return joined(Uint8Array.of(0xc0 | width), bigEndian(value, width));
}

function bigEndian(value, width) {
  const digits = BigInt.asUintN(width * 8, BigInt(value)).toString(16).padStart(width * 2, "0");
  return bytesOf(`0x${digits}`);
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// -- reading, strictly: nothing stands in a file that nobody looked at. Throws TypeError

function readFile(data) {
  const file = fields(data, "the file", ["receipt", "signature", "job", "outcome"]);
  const receipt = readReceipt(file.receipt);
  if (receipt.version < VERSION) throw new TypeError(`version ${receipt.version} is not known here`);
  const outcome = fields(file.outcome, "outcome", ["status", "exit_code", "signal", "virtual_ns", "stdout", "stderr", "files", "trace"]);
  if (!STATUSES.includes(outcome.status)) throw new TypeError(`outcome.status is none of ${STATUSES.join(", ")}`);
  whole(outcome.exit_code, "outcome.exit_code", -(2 ** 31), 2 ** 31 - 1);
  whole(outcome.signal, "outcome.signal", 0, 255);
  whole(outcome.virtual_ns, "outcome.virtual_ns");
  const stdout = content(outcome.stdout, "outcome.stdout", ["truncated"]);
  const stderr = content(outcome.stderr, "outcome.stderr", ["truncated"]);
  if ((stdout.bytes === undefined) !== (stderr.bytes === undefined)) {
    throw new TypeError("outcome: content must be there in both streams or in neither");
  }
  const files = fields(outcome.files, "outcome.files", ["count", "size", "sha256", "truncated"], ["manifest"]);
  whole(files.count, "outcome.files.count", 0, 2 ** 32 - 1);
  hashed(files, "outcome.files");
  const trace = fields(outcome.trace, "outcome.trace", ["count", "sha256"], ["roots"]);
  whole(trace.count, "outcome.trace.count", 0, 2 ** 32 - 1);
  bytesOf(trace.sha256, "outcome.trace.sha256", 32);
  return {
    receipt,
    signature: bytesOf(file.signature, "signature"),
    job: bytesOf(file.job, "job"),
    outcome: { ...outcome, stdout, stderr, files },
    manifest: files.manifest === undefined ? undefined : readManifest(files.manifest),
    roots: trace.roots === undefined ? undefined : readRoots(trace.roots),
  };
}

function readReceipt(data) {
  const receipt = fields(data, "receipt", Object.keys(TYPES));
  for (const [name, type] of Object.entries(TYPES)) {
    if (type === "uint16") whole(receipt[name], `receipt.${name}`, 0, 0xffff);
    else if (type.startsWith("uint")) whole(receipt[name], `receipt.${name}`);
    else bytesOf(receipt[name], `receipt.${name}`, type === "address" ? 20 : 32);
  }
  return receipt;
}

function readManifest(data) {
  if (!Array.isArray(data)) throw new TypeError("outcome.files.manifest is not a list");
  const lines = data.map((line, index) => content(line, `outcome.files.manifest[${index}]`, ["path"]));
  const whole = lines.filter(({ bytes }) => bytes !== undefined).length;
  if (whole > 0 && whole < lines.length) throw new TypeError("outcome.files: content must be there in all files or in none");
  lines.forEach(({ path }, index) => {
    if (typeof path !== "string" || path.includes("\0") || path.split("/").some((part) => ["", ".", ".."].includes(part))) {
      throw new TypeError(`'${path}' is not a path within a folder`);
    }
    if (index > 0 && !before(lines[index - 1].path, path)) throw new TypeError("the manifest is not in order");
  });
  return lines;
}

function readRoots(data) {
  if (!Array.isArray(data)) throw new TypeError("outcome.trace.roots is not a list");
  return data.map((root, index) => bytesOf(root, `outcome.trace.roots[${index}]`, 32));
}

/** By code point, as by the bytes of UTF-8. */
function before(left, right) {
  const [one, other] = [left, right].map((text) => hex(new TextEncoder().encode(text)));
  return one < other;
}

/** Something with a size and a hash, and perhaps its content, which is decoded into `bytes`. */
function content(data, path, more) {
  const read = fields(data, path, ["size", "sha256", ...more], ["content"]);
  hashed(read, path);
  return { ...read, bytes: read.content === undefined ? undefined : bytesOf(read.content, `${path}.content`) };
}

function hashed(read, path) {
  whole(read.size, `${path}.size`);
  bytesOf(read.sha256, `${path}.sha256`, 32);
  if ("truncated" in read && typeof read.truncated !== "boolean") throw new TypeError(`${path}.truncated is not true or false`);
}

function fields(data, path, required, optional = []) {
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new TypeError(`${path} is not an object`);
  const missing = required.find((name) => !Object.hasOwn(data, name));
  if (missing !== undefined) throw new TypeError(`${path}: field '${missing}' is missing`);
  const unknown = Object.keys(data).find((name) => !required.includes(name) && !optional.includes(name));
  if (unknown !== undefined) throw new TypeError(`${path}: unknown field '${unknown}'`);
  return data;
}

/** Integers that a JavaScript number does not hold exactly are refused: nothing is rounded. */
function whole(value, path, low = 0, high = Number.MAX_SAFE_INTEGER) {
  if (!Number.isSafeInteger(value) || value < low || value > high) throw new TypeError(`${path} is not an integer from ${low} to ${high}`);
}

function bytesOf(text, path, length) {
  const proper = typeof text === "string" && /^0x(?:[0-9a-f]{2})*$/i.test(text);
  if (!proper || (length !== undefined && text.length !== 2 + 2 * length)) {
    throw new TypeError(`${path} is not 0x and the hexadecimal digits of ${length ?? "some"} bytes`);
  }
  const bytes = new Uint8Array((text.length - 2) / 2);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = Number.parseInt(text.slice(2 + 2 * index, 4 + 2 * index), 16);
  return bytes;
}

function hex(bytes) {
  return `0x${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
