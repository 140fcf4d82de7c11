/** Payloads as Fields of Tangle's Substrate chain. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { encodeTypes, fromFields, toFields } from "../dist/esm/fields.js";
import { COMPACT_RESULT, PARAMETERS, RESULT } from "../dist/esm/payload.js";
import { field } from "../dist/esm/tlv.js";

interface Vector {
  payload: string;
  fields: string;
}

const file = new URL("../../../tests/vectors/fields.json", import.meta.url);
const vectors = JSON.parse(readFileSync(file, "utf8")) as Record<string, string> & { jobs: Vector[]; results: Vector[] };
const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const hex = (data: Uint8Array): string => Buffer.from(data).toString("hex");

test("types, jobs and results are those of the vectors, both ways", () => {
  assert.equal(hex(encodeTypes(PARAMETERS)), vectors["parameter_types"]);
  assert.equal(hex(encodeTypes(RESULT)), vectors["result_types"]);
  for (const [schema, cases] of [[PARAMETERS, vectors.jobs], [RESULT, vectors.results]] as const) {
    for (const { payload, fields } of cases) {
      assert.equal(hex(toFields(schema, bytes(payload))), fields);
      assert.equal(hex(fromFields(schema, bytes(fields))), payload);
    }
  }
  for (const { payload } of vectors.results) {
    assert.equal(hex(fromFields(COMPACT_RESULT, toFields(COMPACT_RESULT, bytes(payload)))), payload);
  }
});

test("what a Field cannot hold is refused", () => {
  const data = [field("BYTES", "data")];
  const size = 1024 * 1024 + 1;
  const payload = Uint8Array.from([0xc3, size >> 16, (size >> 8) & 0xff, size & 0xff, ...new Uint8Array(size)]);
  assert.throws(() => toFields(data, payload), /1024 chunks of 1024/);
  assert.throws(() => encodeTypes([field("UINT256", "x")]), /UINT256 has no Field/);
  assert.throws(() => encodeTypes([field("ARRAY", "x", [field("BOOL", "y")], 1025)]), /ARRAY has no Field/);
});

test("a damaged Vec<Field> is refused", () => {
  for (const { fields } of vectors.results) {
    const whole = bytes(fields);
    assert.throws(() => fromFields(RESULT, whole.subarray(0, -1)), TypeError);
    assert.throws(() => fromFields(RESULT, Uint8Array.from([...whole, 0])), /left over/);
    assert.throws(() => fromFields(PARAMETERS, whole), TypeError);
    assert.throws(() => fromFields(RESULT, Uint8Array.from([whole[0] ?? 0, 99, ...whole.subarray(2)])), /another type/);
  }
  assert.throws(() => fromFields(RESULT, Uint8Array.of(3)), /over any bound/);
});
