/** What callers give that becomes a part of a request's address, checked before anything is asked. */

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
