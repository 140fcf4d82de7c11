/** Good and bad receipts, frozen with the verifier's verdict: without a machine, the same is found wrong first. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { hexToBytes, type Hex } from "viem";

import { recoverSigner, verifyReceiptFile, type ChainEvidence, type ReceiptFile } from "../dist/esm/index.js";
import { readReceiptFile, writeReceiptFile } from "../dist/esm/receipt-file.js";
import { verifyPosted } from "../dist/esm/verification.js";
import { vectorNames, vectors } from "./vectors.js";

interface Sample {
  deciding: number[];
  file: ReceiptFile | null;
  chain: {
    call: { chain_id: number; tangle: string; service_id: number; call_id: number };
    inputs: Hex;
    payload: Hex;
    operator: string;
    serves: boolean;
  } | null;
}

const RERUN = 7; // and 8: findings that take a machine

function evidenceOf(sample: Sample): ChainEvidence | undefined {
  if (sample.chain === null) return undefined;
  const { call, inputs, payload, operator, serves } = sample.chain;
  const place = {
    chainId: BigInt(call.chain_id),
    tangle: call.tangle,
    serviceId: BigInt(call.service_id),
    callId: BigInt(call.call_id),
  };
  return { place, inputs: hexToBytes(inputs), payload: hexToBytes(payload), operator, serves };
}

const names = vectorNames("receipts");

test("there are samples of every kind", () => assert.ok(names.length > 30));

for (const name of names) {
  test(`receipt: ${name}`, async () => {
    const sample = vectors<Sample>(`receipts/${name}`);
    const chain = evidenceOf(sample);
    const { passed, findings } =
      sample.file === null && chain !== undefined ? await verifyPosted(chain) : await verifyReceiptFile(sample.file, chain);
    const wrong = findings.filter(({ status }) => status === "failed" || status === "unchecked");
    const expected = sample.deciding.filter((number) => number < RERUN);
    assert.deepEqual([wrong[0]?.number], [expected[0]], JSON.stringify(findings));
    assert.equal(passed, expected.length === 0);
  });
}

const good = (): ReceiptFile => vectors<Sample>("receipts/good-file.json").file as ReceiptFile;

test("a file is written as it was read, but for the files' contents", () => {
  const file = good();
  const without = { ...file, outcome: { ...file.outcome, files: { ...file.outcome.files } } };
  without.outcome.files.manifest = (file.outcome.files.manifest ?? []).map(({ path, size, sha256 }) => ({ path, size, sha256 }));
  assert.deepEqual(writeReceiptFile(readReceiptFile(file)), without);
});

test("a file is read strictly", async () => {
  const file = good();
  const { stdout } = file.outcome;
  for (const changes of [
    { more: 1 },
    { signature: "0x1" },
    { receipt: { ...file.receipt, operator: "0x12" } },
    { receipt: { ...file.receipt, virtual_ns: "1" } },
    { outcome: { ...file.outcome, status: "done" } },
    { outcome: { ...file.outcome, stdout: { size: stdout.size, sha256: stdout.sha256, truncated: false } } },
  ]) {
    const { passed, findings } = await verifyReceiptFile({ ...file, ...changes });
    assert.deepEqual([passed, findings[0]?.status], [false, "unchecked"]);
  }
});

test("a signature that is none", async () => {
  const { receipt } = good();
  const bad = [[], Array(64).fill(0), [...Array(64).fill(0), 27], [...Array(64).fill(255), 28]];
  for (const signature of bad) assert.equal(await recoverSigner(receipt, Uint8Array.from(signature)), undefined);
});

test("one bit of any signed field makes it another's", async () => {
  const file = good();
  const signature = hexToBytes(file.signature as Hex);
  assert.equal(await recoverSigner(file.receipt, signature), file.receipt.operator);
  for (const [name, value] of Object.entries(file.receipt)) {
    const other = typeof value === "string" ? value.slice(0, -1) + (value.endsWith("0") ? "1" : "0") : Number(value) + 1;
    assert.notEqual(await recoverSigner({ ...file.receipt, [name]: other }, signature), file.receipt.operator, name);
  }
});
