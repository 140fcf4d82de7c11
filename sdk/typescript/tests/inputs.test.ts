/** Jobs as they are encoded, and what operators would refuse. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, keccak256 } from "viem";

import { SubmissionRefused } from "../dist/esm/errors.js";
import { check, checked } from "../dist/esm/inputs.js";
import { encodeInputs, LIMITS, PARAMETERS, type JobInputs } from "../dist/esm/payload.js";
import { decode } from "../dist/esm/tlv.js";

const content = new Uint8Array();

function inputs(changes: Partial<JobInputs> = {}): JobInputs {
  return {
    code: "print(6 * 7)\n",
    language: "python",
    stdin: content,
    arguments: [],
    envVars: {},
    files: {},
    seed: 0,
    epoch: 1_767_225_600,
    limits: { ...LIMITS },
    keep: false,
    ...changes,
  };
}

function checkedPayload(made: JobInputs): Uint8Array {
  const payload = checked(() => encodeInputs(made));
  check(made);
  return payload;
}

test("the documented example of a job, and its digest", () => {
  const payload = checkedPayload(inputs());
  assert.equal(
    bytesToHex(payload).slice(2),
    "06707974686f6e0d7072696e742836202a2037290a000000000000000000000000000000006955b900" +
      "060000753000000200001000000000004000000040000003e800",
  );
  assert.equal(keccak256(payload), "0x178d6b7b353477e8198bdfe0ba02d4c2157ce69dd8438cc866f6b0dcfc7ad890");
});

test("names and paths are in the order of their code points, not of UTF-16", () => {
  const payload = checkedPayload(inputs({ files: { "\u{1f40e}": content, "\uffee": content, a: content }, envVars: { b: "1", B: "2" } }));
  const values = decode(PARAMETERS, payload) as unknown as { files: { path: string }[]; environment: { name: string }[] };
  assert.deepEqual(values.files.map(({ path }) => path), ["a", "\uffee", "\u{1f40e}"]);
  assert.deepEqual(values.environment.map(({ name }) => name), ["B", "b"]);
});

test("what may be", () => {
  const allowed: Partial<JobInputs>[] = [
    { seed: (1n << 64n) - 1n },
    { language: "rust", files: { "main.py": content, "output/a": content } },
    { language: "typescript", files: { main: content } },
    { keep: true, stdin: Uint8Array.of(0, 255), arguments: ["a", ""] },
  ];
  for (const changes of allowed) checkedPayload(inputs(changes));
});

const REFUSED: Record<string, Partial<JobInputs>> = {
  "another language": { language: "cobol" },
  "a name of Object's": { language: "constructor" },
  "a negative seed": { seed: -1 },
  "a seed of 65 bits": { seed: 1n << 64n },
  "a seed that is not exact": { seed: 2 ** 60 },
  "an epoch after 2100": { epoch: 4_102_444_801 },
  "no time": { limits: { ...LIMITS, timeout_ms: 0 } },
  "too much memory": { limits: { ...LIMITS, memory_mb: 513 } },
  "a NUL in an argument": { arguments: ["a\0"] },
  "a variable without a name": { envVars: { "": "x" } },
  "an = in a name": { envVars: { "A=B": "x" } },
  "a NUL in a variable": { envVars: { A: "\0" } },
  "an absolute path": { files: { "/etc/passwd": content } },
  "a path upwards": { files: { "a/../b": content } },
  "the program's own name": { files: { "main.py": content } },
  "below the program": { files: { "main.py/x": content } },
  "in place of the output": { files: { output: content } },
  "the compiled program": { language: "rust", files: { main: content } },
  "below the compiled program": { language: "go", files: { "main/x": content } },
  "the program without its types": { language: "typescript", files: { "main.js": content } },
  "a file below a file": { files: { a: content, "a/b": content } },
  "a long name": { files: { ["a".repeat(256)]: content } },
  "a NUL in a path": { files: { "a\0": content } },
  "half a character": { code: "\ud800" },
  "too much code": { code: "x".repeat((4 << 20) + 1) },
  "too much input": { stdin: new Uint8Array(15 << 20) },
};
for (const [what, changes] of Object.entries(REFUSED)) {
  test(`refused before it is paid: ${what}`, () => {
    assert.throws(
      () => checkedPayload(inputs(changes)),
      (error) => error instanceof SubmissionRefused && error.reason === "invalid_inputs",
    );
  });
}
