/** FaaSClient against a server that misbehaves to order. */

import assert from "node:assert/strict";
import { before, test } from "node:test";
import { runInNewContext } from "node:vm";

import * as sdk from "../dist/esm/index.js";
import { pauses } from "../dist/esm/retry.js";
import { closedEndpoint, errorBody, flakyServer } from "./flaky-server.js";

const { FaaSClient } = sdk;

const DONE = {
  execution_id: "exec_1",
  status: "completed",
  exit_code: 0,
  stdout: "Hello World\n",
  stderr: "",
  duration_ms: 145,
  mode: "ephemeral",
  cached: false,
  cost: { compute: 0.00012, total: 0.00012 },
};
const HELLO = { code: "print('Hello World')", language: "python" };

before(() => {
  pauses.first = 1;
  delete process.env["FAAS_API_KEY"];
  delete process.env["FAAS_ENDPOINT"];
});

test("a run, as it is asked for and answered", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, { ...DONE, virtual_ns: 7, job: { digest: "0x", language: "python", seed: 0, epoch: 1, limits: { timeout_ms: 1 } } });
  const result = await new FaaSClient({ apiKey: "key", endpoint: server.url }).execute(
    {
      ...HELLO,
      mode: "cached",
      resources: { cpuCores: 1, memoryMb: 64, timeoutMs: 5 },
      envVars: { camelCase: "1", snake_case: "2" },
      files: { "a.bin": Uint8Array.of(0xff, 0), "t.txt": "ž" },
      stdin: "in",
      arguments: ["x"],
      seed: 2n ** 64n - 1n,
      epoch: 2,
      snapshotId: "snap_1",
    },
    { idempotencyKey: "mine" },
  );
  assert.deepEqual([result.id, result.executionId, result.status, result.exitCode], ["exec_1", "exec_1", "completed", 0]);
  assert.deepEqual([result.stdout, result.durationMs, result.virtualNs, result.cached], ["Hello World\n", 145, 7, false]);
  assert.deepEqual([result.files, result.filesTruncated], [[], false]);
  assert.deepEqual(result.job?.limits, { timeout_ms: 1 });
  const [request] = server.requests;
  assert.deepEqual([request?.method, request?.path], ["POST", "/api/v1/execute"]);
  assert.equal(request?.headers.authorization, "Bearer key");
  assert.equal(request?.headers["idempotency-key"], "mine");
  assert.ok(request?.body.includes('"seed":18446744073709551615'));
  const body = JSON.parse(request?.body ?? "") as Record<string, unknown>;
  assert.equal(typeof body["seed"], "number");
  delete body["seed"];
  assert.deepEqual(body, {
    ...HELLO,
    mode: "cached",
    resources: { cpu_cores: 1, memory_mb: 64, timeout_ms: 5 },
    env_vars: { camelCase: "1", snake_case: "2" },
    files: { "a.bin": "/wA=", "t.txt": "xb4=" },
    stdin: "in",
    arguments: ["x"],
    epoch: 2,
    snapshot_id: "snap_1",
  });
});

test("a terminal, and its size", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(202, { ...DONE, status: "queued", job: { terminal: { cols: 120, rows: 24 } } });
  server.willAnswer(204, "");
  const client = new FaaSClient({ endpoint: server.url });
  const begun = await client.start({ ...HELLO, terminal: { cols: 120 } });
  assert.deepEqual(begun.job?.terminal, { cols: 120, rows: 24 });
  await client.resize("exec 1", 100, 30);
  const [asked, resized] = server.requests;
  assert.deepEqual(JSON.parse(asked?.body ?? ""), { ...HELLO, mode: "ephemeral", async: true, terminal: { cols: 120 } });
  assert.deepEqual([resized?.method, resized?.path], ["POST", "/api/v1/executions/exec%201/resize"]);
  assert.deepEqual(JSON.parse(resized?.body ?? ""), { cols: 100, rows: 30 });
});

test("lists, and runs that have begun, say nothing of what they do not know", async (context) => {
  const server = await flakyServer(context);
  const known = { execution_id: "exec_1", id: "exec_1", status: "completed", mode: "cached", cached: true };
  const line = { ...known, language: "bash", exit_code: 3, created_at: "2024-01-15T11:00:00Z" };
  const unknown = { stdout: null, stderr: null, files: null, cost: null, receipt: null };
  server.willAnswer(200, { executions: [line], total: 1, limit: 20, offset: 0 });
  server.willAnswer(202, { ...known, status: "queued", ...unknown });
  const client = new FaaSClient({ endpoint: server.url });
  const [listed] = (await client.executions()).items;
  const begun = await client.start(HELLO);
  assert.deepEqual([listed?.id, listed?.language, listed?.exitCode], ["exec_1", "bash", 3]);
  assert.deepEqual([begun.id, begun.status, begun.mode], ["exec_1", "queued", "cached"]);
  assert.deepEqual([begun.cost, begun.receipt], [null, null]);
  for (const name of ["stdout", "stderr", "files", "filesTruncated"]) assert.ok(!(name in begun) && !(name in (listed ?? {})), name);
});

test("a large file is encoded whole", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, DONE);
  const content = Uint8Array.from({ length: 100_001 }, (_, index) => index % 251);
  await new FaaSClient({ endpoint: server.url }).execute({ ...HELLO, files: { f: content } });
  const { files } = JSON.parse(server.requests[0]?.body ?? "") as { files: { f: string } };
  assert.deepEqual(new Uint8Array(Buffer.from(files.f, "base64")), content);
});

test("bytes in whatever holds them", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, DONE);
  const { buffer } = Uint8Array.from(Buffer.from("abc"));
  const foreign = runInNewContext("new Uint8Array([97, 98, 99]).buffer") as ArrayBuffer;
  const files = { buffer, foreign, view: new DataView(buffer, 1, 2), words: Uint16Array.of(0x6261), node: Buffer.from("a") };
  await new FaaSClient({ endpoint: server.url }).execute({ ...HELLO, files });
  const sent = JSON.parse(server.requests[0]?.body ?? "") as { files: Record<string, string> };
  const texts = Object.entries(sent.files).map(([name, encoded]) => [name, Buffer.from(encoded, "base64").toString()]);
  assert.deepEqual(Object.fromEntries(texts), { buffer: "abc", foreign: "abc", view: "bc", words: "ab", node: "a" });
});

test("what no request can be made of is refused before one is", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  for (const content of [new Blob(["a"]), 5, null, undefined, [97], {}]) {
    const refused = { name: "TypeError", message: /^files\.x must be/ };
    await assert.rejects(client.execute({ ...HELLO, files: { x: content as never } }), refused);
  }
  for (const number of [NaN, 1.5, 2 ** 60, Infinity, "1"] as number[]) {
    await assert.rejects(client.execute({ ...HELLO, seed: number }), { name: "TypeError", message: /^seed must be/ });
    await assert.rejects(client.start({ ...HELLO, epoch: number }), { name: "TypeError", message: /^epoch must be/ });
  }
  await assert.rejects(client.execute({ ...HELLO, resources: { timeoutMs: NaN } }), /NaN is no number/);
  assert.equal(server.requests.length, 0);
});

test("the endpoint with and without its prefix", async (context) => {
  const server = await flakyServer(context);
  for (const suffix of ["", "/", "/api/v1", "/api/v1/"]) {
    server.willAnswer(200, DONE);
    server.willAnswer(200, { status: "ok" });
    const client = new FaaSClient({ endpoint: server.url + suffix });
    await client.execution("exec_1");
    assert.equal((await client.health()).status, "ok");
    const [first, second] = server.requests.splice(0);
    assert.deepEqual([first?.path, second?.path], ["/api/v1/executions/exec_1", "/health"]);
    assert.equal(first?.headers.authorization, undefined);
  }
});

test("key and endpoint from the environment", async (context) => {
  const server = await flakyServer(context);
  process.env["FAAS_API_KEY"] = "from env";
  process.env["FAAS_ENDPOINT"] = server.url;
  context.after(() => {
    delete process.env["FAAS_API_KEY"];
    delete process.env["FAAS_ENDPOINT"];
  });
  server.willAnswer(200, { status: "ok" });
  await new FaaSClient().health();
  assert.equal(server.requests[0]?.headers.authorization, "Bearer from env");
});

const KINDS = [
  [400, "INVALID_REQUEST", sdk.InvalidRequest],
  [401, "UNAUTHORIZED", sdk.Unauthorized],
  [402, "PAYMENT_REQUIRED", sdk.PaymentRequired],
  [403, "FORBIDDEN", sdk.Forbidden],
  [404, "NOT_FOUND", sdk.NotFound],
  [408, "EXECUTION_TIMEOUT", sdk.ExecutionTimeout],
  [429, "RATE_LIMIT_EXCEEDED", sdk.RateLimitError],
  [418, "INTERNAL_ERROR", sdk.ServerError],
] as const;
for (const [status, code, kind] of KINDS) {
  test(`${code} is thrown at once, by its code or else by its status`, async (context) => {
    const server = await flakyServer(context);
    const client = new FaaSClient({ endpoint: server.url });
    server.willAnswer(status, errorBody(code, "why", { field: "code", stdout: "so far" }));
    server.willAnswer(status, "<html>proxy</html>");
    await assert.rejects(client.execute(HELLO), (error) => {
      assert.ok(error instanceof kind && error instanceof sdk.ApiError);
      assert.deepEqual([error.code, error.status, error.message, error.details["field"]], [code, status, "why", "code"]);
      assert.equal(error.name, kind.name);
      return true;
    });
    await assert.rejects(client.execute(HELLO), kind);
    assert.equal(server.requests.length, 2);
  });
}

test("what a run that timed out had written", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(408, errorBody("EXECUTION_TIMEOUT", "late", { stdout: "so far", stderr: "" }));
  await assert.rejects(new FaaSClient({ endpoint: server.url }).execute(HELLO), { stdout: "so far", stderr: "" });
});

test("when a rate limit is lifted", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  for (const [value, date] of [
    ["2024-01-15T11:00:00Z", new Date("2024-01-15T11:00:00Z")],
    [1_705_316_400, new Date("2024-01-15T11:00:00Z")],
    ["soon", undefined],
    [undefined, undefined],
  ]) {
    server.willAnswer(429, errorBody("RATE_LIMIT_EXCEEDED", "slow", { reset_at: value }));
    await assert.rejects(client.execute(HELLO), (error: sdk.RateLimitError) => {
      assert.deepEqual(error.resetAt, date);
      return true;
    });
  }
});

test("what was not begun is asked for again, under one key", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(503, errorBody("INTERNAL_ERROR"), { "Retry-After": "0" });
  server.willAnswer(507, errorBody("INSUFFICIENT_RESOURCES"));
  server.willBreak();
  server.willAnswer(200, DONE);
  assert.equal((await new FaaSClient({ endpoint: server.url }).execute(HELLO)).id, "exec_1");
  assert.equal(server.requests.length, 4);
  const keys = new Set(server.requests.map(({ headers }) => headers["idempotency-key"]));
  assert.ok(keys.size === 1 && !keys.has(undefined));
  assert.equal(new Set(server.requests.map(({ body }) => body)).size, 1);
});

test("two calls are two runs", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  for (let call = 0; call < 2; call += 1) {
    server.willAnswer(200, DONE);
    await client.execute(HELLO);
  }
  assert.notEqual(server.requests[0]?.headers["idempotency-key"], server.requests[1]?.headers["idempotency-key"]);
});

test("retries end, and there may be none", async (context) => {
  const server = await flakyServer(context);
  for (let time = 0; time < 5; time += 1) server.willAnswer(507, errorBody("INSUFFICIENT_RESOURCES"));
  await assert.rejects(new FaaSClient({ endpoint: server.url }).execute(HELLO), sdk.InsufficientResources);
  assert.equal(server.requests.length, 4);
  await assert.rejects(new FaaSClient({ endpoint: server.url, maxRetries: 0 }).execute(HELLO), sdk.InsufficientResources);
  assert.equal(server.requests.length, 5);
});

test("Retry-After is waited for, a long one is not", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  server.willAnswer(503, errorBody("INTERNAL_ERROR"), { "Retry-After": "1" });
  server.willAnswer(200, DONE);
  const begun = performance.now();
  await client.execute(HELLO);
  assert.ok(performance.now() - begun >= 990);
  server.willAnswer(503, errorBody("INTERNAL_ERROR"), { "Retry-After": "3600" });
  await assert.rejects(client.execute(HELLO), sdk.ServerError);
});

test("what may have had an effect is not done twice, what asks is asked again", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  server.willBreak();
  await assert.rejects(client.createSnapshot("exec_1"), sdk.ConnectionFailed);
  assert.equal(server.requests.length, 1);
  server.willBreak();
  server.willAnswer(502, "");
  server.willAnswer(200, { status: "ok" });
  assert.equal((await client.health()).status, "ok");
});

test("nobody there", async () => {
  const client = new FaaSClient({ endpoint: await closedEndpoint(), maxRetries: 1 });
  await assert.rejects(client.createSnapshot("exec_1"), (error) => {
    assert.ok(error instanceof sdk.ConnectionFailed);
    assert.match(error.message, /does not answer: .*ECONNREFUSED/);
    return true;
  });
});

test("something else is there", async (context) => {
  const server = await flakyServer(context);
  for (const body of ["hello", [], { id: "1" }, { ...DONE, files: [{ path: "../a", size: 1, sha256: "0x" }] }]) {
    server.willAnswer(200, body);
    await assert.rejects(new FaaSClient({ endpoint: server.url }).execute(HELLO), sdk.ConnectionFailed);
  }
});

test("a run that is given up is cancelled, unless it may be asked for again", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url, timeout: 100 });
  server.willHang();
  server.willAnswer(200, { ...DONE, status: "cancelled" });
  await assert.rejects(client.execute(HELLO), sdk.RequestTimeout);
  const asked = JSON.parse(server.requests[0]?.body ?? "") as { execution_id: string };
  while (server.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(server.requests[1]?.path, `/api/v1/executions/${asked.execution_id}/cancel`);

  const controller = new AbortController();
  server.willHang();
  const running = client.execute(HELLO, { signal: controller.signal, idempotencyKey: "mine", timeout: 60_000 });
  setTimeout(() => controller.abort(new Error("enough")), 50);
  await assert.rejects(running, /enough/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(server.requests.length, 3);
});

test("an answer that does not come in time is not asked for again", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  server.willHang();
  await assert.rejects(client.execute(HELLO, { timeout: 100, idempotencyKey: "mine" }), sdk.RequestTimeout);
  server.willHang();
  await assert.rejects(client.health({ timeout: 100 }), sdk.RequestTimeout);
  assert.equal(server.requests.length, 2);
});

test("a run is waited for as long as it may take", async (context) => {
  const server = await flakyServer(context);
  const timers = context.mock.method(globalThis, "setTimeout");
  const longest = async (work: Promise<unknown>): Promise<number> => {
    await work;
    const waits = timers.mock.calls.map((call) => Number(call.arguments[1] ?? 0));
    timers.mock.resetCalls();
    return Math.max(...waits);
  };
  for (const [options, resources, milliseconds] of [
    [{}, undefined, 330_000],
    [{}, { memoryMb: 64 }, 330_000],
    [{}, { timeoutMs: 1000 }, 40_000],
    [{}, { timeoutMs: 600_000 }, 6_030_000],
    [{}, { timeoutMs: 1e12 }, 36_030_000],
    [{}, { timeoutMs: "much" as never }, 330_000],
    [{ timeout: 120_000 }, { timeoutMs: 600_000 }, 120_000],
  ] as const) {
    const client = new FaaSClient({ endpoint: server.url, ...options });
    for (let call = 0; call < 3; call += 1) server.willAnswer(200, DONE);
    assert.equal(await longest(client.execute({ ...HELLO, resources })), milliseconds);
    assert.equal(await longest(client.execute({ ...HELLO, resources }, { timeout: 7000 })), 7000);
    assert.equal(await longest(client.start({ ...HELLO, resources })), "timeout" in options ? options.timeout : 30_000);
  }
});

test("a run that the platform stops waiting for is asked for again, under its key, until its time is over", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, DONE);
  const ask = globalThis.fetch;
  let impatience = 5;
  context.mock.method(globalThis, "fetch", (...given: Parameters<typeof fetch>) => {
    if (impatience === 0) return ask(...given);
    impatience -= 1;
    return Promise.reject(new TypeError("fetch failed", { cause: Object.assign(new Error(), { code: "UND_ERR_HEADERS_TIMEOUT" }) }));
  });
  const client = new FaaSClient({ endpoint: server.url, maxRetries: 1 });
  assert.equal((await client.execute(HELLO)).id, "exec_1");
  impatience = 2;
  await assert.rejects(client.createSnapshot("exec_1"), sdk.RequestTimeout);
  assert.equal(impatience, 1);
  await assert.rejects(client.execute(HELLO, { timeout: 0.001, idempotencyKey: "mine" }), sdk.RequestTimeout);
});

test("a signal that has fired sends nothing", async (context) => {
  const server = await flakyServer(context);
  await assert.rejects(new FaaSClient({ endpoint: server.url }).health({ signal: AbortSignal.abort(new Error("no")) }), /no/);
  assert.equal(server.requests.length, 0);
});

test("an output file's path is a path, not an address", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, Buffer.from([0xff, 0, 1]));
  server.willAnswer(404, errorBody("NOT_FOUND"));
  const client = new FaaSClient({ endpoint: server.url });
  assert.deepEqual(await client.outputFile("exec_1", "plots/a b?.svg"), Uint8Array.of(0xff, 0, 1));
  assert.equal(server.requests[0]?.path, "/api/v1/executions/exec_1/files/plots/a%20b%3F.svg");
  await assert.rejects(client.outputFile("exec_1", "x"), sdk.NotFound);
});

const ELSEWHERE = ["../receipt", "../../../keys", "..", ".", "", "/a", "a//b", "a/../b", "a/.", "a\0", undefined, 5] as string[];
const NO_IDS = ["..", ".", "", "exec_1/receipt", "../keys", undefined, null, 5] as string[];

test("a path or an id that leads elsewhere is refused before it is asked for", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  for (const path of ELSEWHERE) await assert.rejects(client.outputFile("exec_1", path), { name: "TypeError", message: /is not a path/ });
  for (const id of NO_IDS) {
    for (const asked of [
      () => client.execution(id),
      () => client.cancel(id),
      () => client.resize(id, 1, 1),
      () => client.logs(id),
      () => client.receiptFile(id),
      () => client.outputFile(id, "a"),
      async () => client.stream(id),
      () => client.getSnapshot(id),
      () => client.restoreSnapshot(id),
      () => client.deleteSnapshot(id),
      () => client.diffSnapshot(id),
      () => client.proveSnapshot(id, { path: "a" }),
      () => client.getBranch(id),
      () => client.deleteBranch(id),
      () => client.endSession(id),
    ]) {
      await assert.rejects(asked, { name: "TypeError", message: /is not an id/ });
    }
  }
  assert.equal(server.requests.length, 0);
});

test("usage in the words of this language", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  server.willAnswer(200, {
    period_start: "2024-01-01T00:00:00Z",
    executions: { total_count: 3, memory_gb_seconds: 1.5, by_mode: { ephemeral: 3 } },
    costs: { total_cost: 19.83, credits_remaining: 80.17 },
  });
  server.willAnswer(200, { current_balance: 80.17, active_executions: 3 });
  const metrics = await client.usage.getMetrics({ startDate: new Date("2024-01-01T00:00:00Z") });
  assert.deepEqual([metrics.executions.totalCount, metrics.executions.byMode, metrics.costs.creditsRemaining], [3, { ephemeral: 3 }, 80.17]);
  assert.equal(server.requests[0]?.path, "/api/v1/usage?start_date=2024-01-01T00%3A00%3A00.000Z");
  assert.equal((await client.usage.getCurrent()).activeExecutions, 3);
});

test("options that make no client", () => {
  assert.throws(() => new FaaSClient({ endpoint: "api.faas.platform" }), /http/);
  assert.throws(() => new FaaSClient({ maxRetries: -1 }), /maxRetries/);
});

test("a key without what surrounds it in a file", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, DONE);
  await new FaaSClient({ apiKey: " secret-key\r\n", endpoint: server.url }).execute(HELLO, { idempotencyKey: "mine\n" });
  const [request] = server.requests;
  assert.deepEqual([request?.headers.authorization, request?.headers["idempotency-key"]], ["Bearer secret-key", "mine"]);
});

test("a key that no header carries is refused at once, and not shown", async (context) => {
  const server = await flakyServer(context);
  const client = new FaaSClient({ endpoint: server.url });
  for (const key of ["secret\nkey", "secret\r\nX: y", "secrét", "secret\0", "\n", 5] as string[]) {
    const refused = (error: Error): boolean =>
      error instanceof TypeError && /[kK]ey must be printable/.test(error.message) && !String(error.stack).includes("secr");
    assert.throws(() => new FaaSClient({ apiKey: key }), refused);
    await assert.rejects(client.execute(HELLO, { idempotencyKey: key }), refused);
  }
  assert.equal(server.requests.length, 0);
});

test("the key is not printed", async () => {
  const { inspect } = await import("node:util");
  assert.ok(!inspect(new FaaSClient({ apiKey: "secret-key" }), { depth: 9, showHidden: true }).includes("secret-key"));
});
