/** What callers give that becomes a part of a request's address or headers, checked before anything is asked. */

import { checkPath } from "./output-files.js";

/**
 * An id as one part of an address, which can lead to no other place. Throws TypeError.
 *
 * A slash is refused, not only encoded: servers take an encoded one for a slash.
 */
export function idPart(id: string): string {
  if (typeof id !== "string" || ["", ".", ".."].includes(id) || id.includes("/")) {
    throw new TypeError(`'${id}' is not an id: it must be text without '/', not empty, '.' or '..'`);
  }
  return encodeURIComponent(id);
}

/** A file's path below an address. Throws TypeError unless it stays within its folder. */
export function pathParts(path: string): string {
  if (typeof path !== "string") throw new TypeError(`'${path}' is not a path`);
  checkPath(path);
  return path.split("/").map(encodeURIComponent).join("/");
}

/**
 * Without the whitespace around it: a key that was read from a file ends in a line feed.
 *
 * Throws TypeError for what no header can carry. It does not show the value: that may be a secret.
 */
export function headerValue(value: string, what: string): string {
  const trimmed = typeof value === "string" ? value.trim() : "";
  if (!/^[\x20-\x7e]+$/.test(trimmed)) throw new TypeError(`${what} must be printable ASCII characters, at least one`);
  return trimmed;
}
