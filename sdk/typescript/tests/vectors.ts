/** The vectors that the node's codec and the verifier are held to. */

import { readdirSync, readFileSync } from "node:fs";

import { parseJson } from "../dist/esm/json.js";

const VECTORS = new URL("../../../tests/vectors/", import.meta.url);

export function vectors<T>(name: string): T {
  return parseJson(readFileSync(new URL(name, VECTORS), "utf8")) as T;
}

export function vectorNames(folder: string): string[] {
  return readdirSync(new URL(folder, VECTORS)).sort();
}
