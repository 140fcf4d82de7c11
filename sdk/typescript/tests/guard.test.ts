/** Every reason not to send money, against a chain that says what the test tells it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesToHex, parseTransaction, toFunctionSelector, type Hex } from "viem";

import { ConnectionFailed, FundsAtRisk, SubmissionRefused, SubstrateNotInstalled, TangleError, TangleFaaSClient, TransactionFailed } from "../dist/esm/index.js";
import { PARAMETERS } from "../dist/esm/payload.js";
import { encodeSchema, field, type Field } from "../dist/esm/tlv.js";
import { closedEndpoint } from "./flaky-server.js";
import { CONTRACT, KEY, OPERATOR, scriptedChain, type Script, type ScriptedChain } from "./scripted-chain.js";

const JOB = { code: "print(1)", language: "python", seed: 1, epoch: 2_000_000 };

const MANAGER: Hex = `0x${"3a".repeat(20)}`;

function clientOf(chain: ScriptedChain, maxPriceWei?: bigint): TangleFaaSClient {
  return new TangleFaaSClient({ rpcUrl: chain.url, serviceId: 3, privateKey: KEY, tangle: CONTRACT, maxPriceWei, pollInterval: 5 });
}

for (const newer of [false, true]) {
  test(`exactly the rate is paid in epoch ${newer ? "0.19" : "0.10"}, and the job is the one asked for`, async (context) => {
    const chain = await scriptedChain(context, { newer, asset: newer ? `0x${"00".repeat(20)}` : undefined });
    const call = await clientOf(chain).submitJob(JOB);
    assert.deepEqual([call.serviceId, call.callId, call.block, call.priceWei], [3n, 9n, 5n, 1000n]);
    assert.equal(chain.sent.length, 1);
    const transaction = parseTransaction(chain.sent[0] as Hex);
    assert.deepEqual([transaction.value, transaction.to, transaction.chainId], [1000n, CONTRACT, 31337]);
    assert.deepEqual([transaction.gas, transaction.maxFeePerGas], [125_000n, 33n]);
    assert.ok(transaction.data?.includes(bytesToHex(call.inputs).slice(2)));
  });
}

for (const pricing of [0, 1]) {
  test(`no value goes to a service with pricing ${pricing}`, async (context) => {
    const chain = await scriptedChain(context, { pricing });
    assert.equal((await clientOf(chain, 0n).submitJob(JOB)).priceWei, 0n);
    assert.equal(parseTransaction(chain.sent[0] as Hex).value ?? 0n, 0n);
  });
}

for (const [changes, valueWei, reason] of [
  [{ pricing: 0 }, 1n, "value_swallowed"],
  [{ pricing: 1 }, 1n, "value_swallowed"],
  [{}, 0n, "wrong_value"],
  [{}, 999n, "wrong_value"],
  [{}, 1001n, "wrong_value"],
  [{ pricing: 0 }, 0n, undefined],
  [{}, 1000n, undefined],
] as [Partial<Script>, bigint, string | undefined][]) {
  test(`a value of ${valueWei} ${JSON.stringify(changes)}: ${reason ?? "sent"}`, async (context) => {
    const chain = await scriptedChain(context, changes);
    const submitted = clientOf(chain).submitJob({ ...JOB, valueWei });
    if (reason === undefined) {
      assert.equal((await submitted).priceWei, valueWei);
      return;
    }
    await assert.rejects(submitted, { reason });
    assert.equal(chain.sent.length, 0);
  });
}

for (const changes of [{ needed: 2, operators: [MANAGER, OPERATOR] }, { needed: 0 }, { needed: undefined, newer: true }, { aggregated: undefined }]) {
  test(`a job that can be completed: ${JSON.stringify(changes)}`, async (context) => {
    const chain = await scriptedChain(context, { manager: MANAGER, ...changes });
    assert.equal((await clientOf(chain).submitJob(JOB)).priceWei, 1000n);
  });
}

const schemaOf = (...fields: Field[]): Hex => bytesToHex(encodeSchema(fields));
const [language, code, ...others] = PARAMETERS as [Field, Field, ...Field[]];

const AT_RISK = ["no_contract", "ends_soon", "no_operator", "too_few_operators", "aggregated"];

const REFUSED: [string, Partial<Script>][] = [
  ["no_contract", { code: "0x" }],
  ["unknown_service", { createdAt: 0n }],
  ["service_ended", { status: 2 }],
  ["service_expired", { ttl: 99n }],
  ["not_permitted", { permitted: false }],
  ["schema_mismatch", { jobs: 0 }],
  ["schema_mismatch", { schema: schemaOf(...PARAMETERS.slice(0, -1)) }],
  ["schema_mismatch", { schema: schemaOf(field("STRING", "prompt")) }],
  ["schema_mismatch", { schema: schemaOf(code, language, ...others) }],
  ["schema_mismatch", { schema: schemaOf({ ...language, name: "image" }, code, ...others), newer: true }],
  ["schema_mismatch", { schema: "0x010000" }],
  ["price_too_high", { rate: 2001n }],
  ["foreign_asset", { asset: `0x${"aa".repeat(20)}` }],
  ["ends_soon", { ttl: 159n }],
  ["no_operator", { operators: [] }],
  ["too_few_operators", { manager: MANAGER, needed: 2 }],
  ["aggregated", { manager: MANAGER, aggregated: true }],
  ["aggregated", { manager: MANAGER, aggregated: undefined, newer: true }],
  ["insufficient_funds", { balance: 999n }],
  ["insufficient_funds", { balance: 1000n + 125_000n }],
  ["reverts", { revert: toFunctionSelector("EnforcedPause()") }],
  ["rejected", { forgetful: "has it not" }],
];
for (const [reason, changes] of REFUSED) {
  test(`refused: ${reason} (${Object.keys(changes).join()})`, async (context) => {
    const chain = await scriptedChain(context, changes);
    await assert.rejects(clientOf(chain, 2000n).submitJob(JOB), (error) => {
      assert.ok(error instanceof SubmissionRefused, String(error));
      assert.deepEqual([error.reason, error.code], [reason, reason]);
      assert.equal(error instanceof FundsAtRisk, AT_RISK.includes(reason));
      if (reason === "reverts") assert.match(error.message, /EnforcedPause/);
      return true;
    });
    assert.equal(chain.sent.length, reason === "rejected" ? 1 : 0);
  });
}

test("the last minute of a service, and a schema that takes anything", async (context) => {
  await clientOf(await scriptedChain(context, { ttl: 160n })).submitJob(JOB);
  await clientOf(await scriptedChain(context, { schema: "0x" })).submitJob(JOB);
});

test("a job that was taken though the answer was lost", async (context) => {
  const chain = await scriptedChain(context, { forgetful: "has it" });
  assert.equal((await clientOf(chain).submitJob(JOB)).callId, 9n);
});

test("a transaction that reverts", async (context) => {
  const chain = await scriptedChain(context, { included: "reverted" });
  await assert.rejects(clientOf(chain).submitJob(JOB), TransactionFailed);
});

test("a signal while the block is waited for", async (context) => {
  const chain = await scriptedChain(context, { included: "pending" });
  const signal = AbortSignal.timeout(300);
  await assert.rejects(clientOf(chain).submitJob(JOB, { signal }), { name: "TimeoutError" });
});

test("inputs that operators refuse reach no chain", async (context) => {
  const chain = await scriptedChain(context);
  await assert.rejects(clientOf(chain).submitJob({ ...JOB, language: "cobol" }), { reason: "invalid_inputs" });
  await assert.rejects(clientOf(chain).submitJob({ ...JOB, stdin: "\ud800" }), { reason: "invalid_inputs" });
  assert.deepEqual(chain.methods, []);
});

test("no key", async (context) => {
  const chain = await scriptedChain(context);
  const client = new TangleFaaSClient({ rpcUrl: chain.url, serviceId: 3, tangle: CONTRACT });
  await assert.rejects(client.submitJob(JOB), { reason: "no_key" });
});

test("a Substrate endpoint is called by its name", async (context) => {
  const chain = await scriptedChain(context, { substrate: true });
  await assert.rejects(clientOf(chain).submitJob(JOB), (error) => error instanceof TangleError && /Substrate/.test(error.message));
  const client = new TangleFaaSClient({ rpcUrl: chain.url, serviceId: 1, chain: "substrate" });
  await assert.rejects(client.findService(), (error) => error instanceof SubstrateNotInstalled && /npm install @polkadot\/api/.test(error.message));
});

test("nobody at the endpoint, and somebody else", async (context) => {
  const nobody = { url: await closedEndpoint(), methods: [], sent: [] };
  await assert.rejects(clientOf(nobody).submitJob(JOB), ConnectionFailed);
  await assert.rejects(clientOf({ ...nobody, url: nobody.url.replace("http", "ws") }).submitJob(JOB), ConnectionFailed);
  const chain = await scriptedChain(context, { createdAt: undefined as unknown as bigint });
  await assert.rejects(clientOf(chain).submitJob(JOB), ConnectionFailed);
});

test("options that make no client, without the key in their error", () => {
  assert.throws(() => new TangleFaaSClient({ rpcUrl: "ftp://x", serviceId: 1 }), /rpcUrl/);
  assert.throws(() => new TangleFaaSClient({ rpcUrl: "http://x" }), /serviceId/);
  assert.throws(() => new TangleFaaSClient({ rpcUrl: "http://x", serviceId: 1, tangle: "0x12" }), /not an address/);
  assert.throws(
    () => new TangleFaaSClient({ rpcUrl: "http://x", serviceId: 1, privateKey: "secret" }),
    (error) => error instanceof TypeError && !error.message.includes("secret"),
  );
});
