/** Inputs of jobs 1 to 5 against the vectors that the node's codec is held to. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, hexToBytes, type Hex } from "viem";

import {
  branchInputs,
  INLINE_BYTES,
  mergeInputs,
  PARAMETERS,
  programInputs,
  restoreInputs,
  snapshotInputs,
  type CallInputs,
  type ChainMode,
  type Fork,
  type MergeStrategy,
} from "../dist/esm/operations.js";
import { LIMITS, type JobInputs } from "../dist/esm/payload.js";
import { encodeSchema } from "../dist/esm/tlv.js";
import { vectors } from "./vectors.js";

interface Sample {
  name: string;
  job_index: number;
  snapshot: string | null;
  mode?: ChainMode | null;
  fork: { seed: string; epoch: string; identity: Hex } | null;
  blobs: Record<string, string>;
  challenge?: string;
  base?: string | null;
  branches?: string[];
  strategy?: MergeStrategy;
  payload: Hex;
}

interface Vectors {
  program: { language: string; code: string; stdin: string; files: Record<string, string>; seed: number; epoch: number };
  operations: Sample[];
  schemas: Record<string, string>;
}

const { program, operations, schemas } = vectors<Vectors>("operations.json");
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function inputs(blobs: Record<string, string> = {}, changes: Partial<JobInputs> = {}): JobInputs {
  const files = Object.entries(program.files).map(([path, text]) => [path, bytes(text)]);
  const large = Object.entries(blobs).map(([part, text]) => [part.replace("files/", ""), bytes(text)]);
  return {
    ...program,
    stdin: bytes(program.stdin),
    arguments: [],
    envVars: {},
    files: Object.fromEntries([...files, ...large]) as Record<string, Uint8Array>,
    limits: LIMITS,
    keep: false,
    ...changes,
  };
}

function made(sample: Sample): CallInputs {
  const snapshot = sample.snapshot ?? undefined;
  const given = sample.fork;
  const fork: Fork | undefined = given
    ? { seed: BigInt(given.seed), epoch: BigInt(given.epoch), identity: hexToBytes(given.identity) }
    : undefined;
  switch (sample.job_index) {
    case 1:
      return programInputs(inputs(sample.blobs), { mode: sample.mode ?? undefined, snapshot, fork }, true);
    case 2:
      return snapshotInputs(inputs(), snapshot, true);
    case 3:
      return restoreInputs(snapshot as string, BigInt(sample.challenge as string));
    case 4:
      return branchInputs(snapshot, fork as Fork);
    default:
      return mergeInputs(sample.branches as string[], sample.base ?? undefined, sample.strategy as MergeStrategy);
  }
}

for (const sample of operations) {
  test(`${sample.name}: the node's own payload`, () => {
    const { jobIndex, payload, blobs } = made(sample);
    assert.equal(bytesToHex(payload), sample.payload);
    assert.equal(jobIndex, sample.job_index);
    assert.deepEqual(blobs, Object.values(sample.blobs).map(bytes));
  });
}

test("the schemas are the blueprint's", () => {
  for (const [index, fields] of PARAMETERS.entries()) {
    assert.equal(bytesToHex(encodeSchema(fields)).slice(2), schemas[String(index)]);
  }
});

test("large inputs go by hash where there is somewhere to bring them", () => {
  assert.equal(programInputs(inputs(), {}, true).jobIndex, 0);
  const large = inputs({}, { stdin: new Uint8Array(INLINE_BYTES) });
  assert.equal(programInputs(large, {}, false).jobIndex, 0);
  const { jobIndex, payload, blobs } = programInputs(large, {}, true);
  assert.deepEqual([jobIndex, blobs, payload.length < 400], [1, [large.stdin], true]);
});

test("what operators refuse is refused before it is paid", () => {
  const [one, other] = [`0x${"1".repeat(64)}`, `0x${"2".repeat(64)}`];
  const wrong: (() => unknown)[] = [
    () => branchInputs(one, { identity: new Uint8Array(33) }),
    () => branchInputs(one, { seed: -1 }),
    () => branchInputs(one, { epoch: 1n << 62n }),
    () => programInputs(inputs(), { mode: "persistent" as ChainMode }, false),
    () => programInputs(inputs(), { mode: "cached", fork: {} }, false),
    () => mergeInputs([one], undefined, "ours"),
    () => mergeInputs([one, one], undefined, "ours"),
    () => mergeInputs([one, other], undefined, "mine" as MergeStrategy),
    () => restoreInputs("base", 1),
  ];
  for (const make of wrong) assert.throws(make, TypeError);
});
