/** Files that a program left in its output folder, as answers and results name them. */

import { bytesToHex, hexToBytes, sha256, type Hex } from "viem";

import { bytesOf, compareBytes, sameBytes } from "./bytes.js";
import { exactNumber } from "./json.js";
import { decode, encode, field, type Field } from "./tlv.js";

const LINE = [field("STRING", "path"), field("UINT64", "size"), field("BYTES32", "sha256")];

/** The list of all files, whose SHA-256 a result names. */
const MANIFEST: readonly Field[] = [field("LIST", "files", [field("STRUCT", "file", LINE)])];

/** A file without its bytes. */
export interface OutputFile {
  /** Relative to the output folder, without `.` and `..`: it may be joined to a folder of one's own. */
  path: string;
  /** In bytes. */
  size: number;
  /** `0x` and 64 hexadecimal digits. */
  sha256: string;
}

/** What a result says of all output files together. */
export interface FilesHash {
  count: number;
  /** Sum of their sizes in bytes. */
  size: bigint;
  /** Of the manifest. */
  sha256: Uint8Array;
  /** Whether something in the output folder was left out. */
  truncated: boolean;
}

/** The manifest's bytes. Throws TypeError for what is no list of files. */
export function encodeManifest(files: readonly OutputFile[]): Uint8Array {
  const lines = files.map((file) => ({ path: file.path, size: file.size, sha256: hexToBytes(file.sha256 as Hex) }));
  return encode(MANIFEST, { files: lines });
}

/** The list with this hash. Throws TypeError when it is another one, or not proper. */
export function decodeManifest(data: Uint8Array, hash: FilesHash): OutputFile[] {
  if (!sameBytes(sha256(data, "bytes"), hash.sha256)) throw new TypeError("the manifest's SHA-256 differs");
  const lines = decode(MANIFEST, data)["files"] as unknown as { path: string; size: bigint; sha256: Uint8Array }[];
  const total = lines.reduce((size, line) => size + line.size, 0n);
  if (lines.length !== hash.count || total !== hash.size) {
    throw new TypeError("the manifest has another number of files or bytes than the result");
  }
  const files = lines.map((line) => ({
    path: line.path,
    size: exactNumber(line.size) as number, // a file larger than that is nowhere
    sha256: bytesToHex(line.sha256),
  }));
  checkManifest(files);
  return files;
}

/** Throws TypeError unless paths are proper and in order. */
export function checkManifest(files: readonly OutputFile[]): void {
  files.forEach((file, index) => {
    const before = files[index - 1];
    if (before !== undefined && compareBytes(bytesOf(before.path), bytesOf(file.path)) >= 0) {
      throw new TypeError("the manifest is not in order");
    }
    checkPath(file.path);
  });
}

/** Throws TypeError unless the path stays within its folder. */
export function checkPath(path: string): void {
  if (path.includes("\0") || path.split("/").some((item) => item === "" || item === "." || item === "..")) {
    throw new TypeError(`'${path}' is not a path within a folder`);
  }
}
