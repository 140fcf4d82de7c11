/** Bytes and texts, with what browsers and Node.js both have. */

import { bytesToHex, randomBytes } from "@noble/hashes/utils";

/** Of a file or stdin; text is encoded as UTF-8. */
export type Content = string | ArrayBuffer | ArrayBufferView;

/** Throws TypeError for text that no UTF-8 is of, and for what is neither text nor bytes; it says what that was. */
export function bytesOf(content: Content, what = "content"): Uint8Array {
  if (content instanceof Uint8Array) return content;
  if (ArrayBuffer.isView(content)) return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
  if (isArrayBuffer(content)) return new Uint8Array(content);
  if (typeof content !== "string") throw new TypeError(`${what} must be text, an ArrayBuffer or a view of one`);
  if (/\p{Surrogate}/u.test(content)) throw new TypeError(`${what} holds half of a surrogate pair`);
  return new TextEncoder().encode(content);
}

/** Of another window or context too, which `instanceof` does not know. */
function isArrayBuffer(content: unknown): content is ArrayBuffer {
  return Object.prototype.toString.call(content) === "[object ArrayBuffer]";
}

/** Throws TypeError for what is not UTF-8. */
export function strictText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

/** What is not UTF-8 shows as U+FFFD. */
export function looseText(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  }
  return btoa(parts.join(""));
}

/** Joined. */
export function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((size, item) => size + item.length, 0));
  let at = 0;
  for (const item of parts) {
    whole.set(item, at);
    at += item.length;
  }
  return whole;
}

export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

/** Negative, zero or positive; texts in the order of their bytes are in the order of their code points. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let index = 0; index < length; index += 1) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** So many random bytes, as hexadecimal digits. */
export function randomHex(count: number): string {
  return bytesToHex(randomBytes(count));
}
