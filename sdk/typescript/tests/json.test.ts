/** Integers of any size survive; nothing else is touched. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { exactNumber, parseJson, stringifyJson } from "../dist/esm/json.js";

test("integers beyond 53 bits are read exactly, others are numbers", () => {
  const text = '{"seed": 18446744073709551615, "small": 9007199254740991, "next": 9007199254740992, "minus": -9223372036854775808}';
  assert.deepEqual(parseJson(text), {
    seed: 18446744073709551615n,
    small: 9007199254740991,
    next: 9007199254740992n,
    minus: -9223372036854775808n,
  });
});

test("digits in texts, fractions and exponents stay what they are", () => {
  const value = { 'a"12345678901234567890': 'x\\" 12345678901234567890 \\', f: 1.5, e: 1e300, deep: [["12345678901234567890"]] };
  assert.deepEqual(parseJson(JSON.stringify(value)), value);
  assert.equal(parseJson("0.12345678901234567890"), 0.12345678901234568);
  assert.equal(parseJson("12345678901234567890e2"), 1234567890123456789000);
});

test("no text can pass for an integer", () => {
  const value = { text: "integer 0.5 1", seed: 5 };
  assert.deepEqual(parseJson(JSON.stringify(value) .replace("5}", "12345678901234567890}")), {
    text: "integer 0.5 1",
    seed: 12345678901234567890n,
  });
});

test("a large text with quotes and backslashes is no trouble", () => {
  const value = { text: '\\"\n'.repeat(300_000), number: 12345678901234567 };
  assert.equal((parseJson(JSON.stringify(value)) as typeof value).text, value.text);
});

test("what is no JSON is refused", () => {
  for (const text of ['{"a": 12345678901234567890', '"12345678901234567890', "12345678901234567890x"]) {
    assert.throws(() => parseJson(text), SyntaxError);
  }
});

test("bigints are written as integers, what is undefined not at all", () => {
  assert.equal(stringifyJson({ a: 2n ** 64n - 1n, b: [1n, undefined, "1"], c: undefined, d: null }), '{"a":18446744073709551615,"b":[1,null,"1"],"d":null}');
  assert.deepEqual([exactNumber(5n), exactNumber(2n ** 53n)], [5, 2n ** 53n]);
});
