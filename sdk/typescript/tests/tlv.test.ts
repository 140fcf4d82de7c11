/** The codec against the vectors that the node's codec is held to, and the blueprint's two schemas. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { hexToBytes } from "viem";

import { PARAMETERS, RESULT } from "../dist/esm/payload.js";
import { decode, decodeSchema, encode, encodeSchema, field, type Kind, type Value } from "../dist/esm/tlv.js";
import { vectors } from "./vectors.js";

interface Vectors {
  vectors: { name: string; schema: string; payload: string; values: { [name: string]: Value } }[];
  refused: { what: string; schema: string; payload?: string }[];
  schemas: Record<string, string>;
}

const { vectors: samples, refused, schemas } = vectors<Vectors>("tlv.json");

const bytes = (text: string): Uint8Array => hexToBytes(`0x${text}`);
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

/** `{"bytes": "00"}` is bytes. */
function valueOf(value: Value): Value {
  if (Array.isArray(value)) return value.map(valueOf);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value as { [name: string]: Value });
  const [first] = entries;
  if (entries.length === 1 && first?.[0] === "bytes") return bytes(first[1] as string);
  return Object.fromEntries(entries.map(([name, item]) => [name, valueOf(item)]));
}

/** Equal up to number and bigint. */
function plain(value: Value): Value {
  if (typeof value === "number") return BigInt(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

for (const sample of samples) {
  test(`vector: ${sample.name}`, () => {
    const fields = decodeSchema(bytes(sample.schema));
    const values = valueOf(sample.values) as { [name: string]: Value };
    assert.equal(hex(encodeSchema(fields)), sample.schema);
    assert.equal(hex(encode(fields, values)), sample.payload);
    assert.deepEqual(plain(decode(fields, bytes(sample.payload))), plain(values));
  });
}

for (const sample of refused) {
  test(`refused: ${sample.what}`, () => {
    assert.throws(() => decode(decodeSchema(bytes(sample.schema)), bytes(sample.payload ?? "")), TypeError);
  });
}

const MISFITS: [Kind, Value][] = [
  ["UINT8", 256],
  ["INT8", -129],
  ["UINT64", 2 ** 60 + 0.5],
  ["UINT64", 2 ** 60],
  ["UINT64", 1n << 64n],
  ["UINT8", true],
  ["STRING", Uint8Array.of(1)],
  ["STRING", "\ud800"],
  ["BYTES", "x"],
  ["BOOL", 1],
];
for (const [kind, value] of MISFITS) {
  test(`${kind} is not ${String(value)}`, () => {
    assert.throws(() => encode([field(kind, "x")], { x: value }), TypeError);
  });
}

test("missing and unknown fields", () => {
  const fields = [field("BOOL", "a")];
  assert.throws(() => encode(fields, {}), /'a'/);
  assert.throws(() => encode(fields, { a: true, b: true }), /'b'/);
});

test("a mark at a text's beginning is part of it", () => {
  const fields = [field("STRING", "a")];
  assert.deepEqual(decode(fields, encode(fields, { a: "\ufeffa" })), { a: "\ufeffa" });
});

test("the schemas are the blueprint's", () => {
  assert.equal(hex(encodeSchema(PARAMETERS)), schemas["execute parameters"]);
  assert.equal(hex(encodeSchema(RESULT)), schemas["execute result"]);
});
