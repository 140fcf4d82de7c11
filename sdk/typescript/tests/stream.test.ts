/** Streams against a WebSocket server that says what it is told; real runs are streamed by the scenario. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { WebSocketServer, type WebSocket as Socket } from "ws";

import * as sdk from "../dist/esm/index.js";
import { closedEndpoint } from "./flaky-server.js";

const { FaaSClient } = sdk;
const OUTPUT = { type: "output", execution_id: "exec_1", stream: "stdout", data: "a" };
const COMPLETED = { type: "completed", execution_id: "exec_1", exit_code: 3, status: "completed", duration_ms: 5, snapshot_id: null };

interface Said {
  url: string;
  key: string | undefined;
  messages: unknown[];
}

/** Hands each socket to `talk`; upgrades are refused with 401 when there is none. */
async function socketServer(context: TestContext, talk?: (socket: Socket, said: Said) => void): Promise<[sdk.FaaSClient, Said[]]> {
  const said: Said[] = [];
  const http = createServer((_, response) => {
    response.writeHead(401).end(JSON.stringify({ error: { code: "UNAUTHORIZED", message: "no key", details: {} } }));
  });
  const sockets = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request, connection, head) => {
    if (talk === undefined) {
      connection.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      return;
    }
    sockets.handleUpgrade(request, connection, head, (socket) => {
      const heard: Said = { url: request.url ?? "", key: request.headers.authorization, messages: [] };
      said.push(heard);
      socket.on("message", (data) => heard.messages.push(JSON.parse(String(data))));
      talk(socket, heard);
    });
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    http.closeAllConnections();
    http.close();
  });
  const endpoint = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  return [new FaaSClient({ apiKey: "the key", endpoint, timeout: 2000, maxRetries: 0 }), said];
}

const saying = (...messages: object[]) => (socket: Socket): void => {
  for (const message of messages) socket.send(JSON.stringify(message));
};

/** What listeners are told until `complete` or a fatal error. */
function listened(stream: sdk.ExecutionStream): Promise<unknown[]> {
  const told: unknown[] = [];
  return new Promise((resolve) => {
    stream
      .on("output", (data, event) => told.push(["output", data, event.stream]))
      .on("progress", (progress) => told.push(["progress", progress]))
      .on("dropped", (bytes) => told.push(["dropped", bytes]))
      .on("complete", (exitCode) => told.push(["complete", exitCode]))
      .on("completed", (exitCode, event) => {
        told.push(["completed", exitCode, event.status]);
        resolve(told);
      })
      .on("error", (error, event) => {
        told.push(["error", error.constructor.name, error.code]);
        if (event?.fatal !== false) resolve(told);
      });
  });
}

test("every kind of event, sent in the same breath as the upgrade", async (context) => {
  const progress = { type: "progress", execution_id: "exec_1", progress: 0.5, message: "half", wants_input: true };
  const dropped = { type: "dropped", execution_id: "exec_1", bytes: 9, message: "" };
  const [client, said] = await socketServer(context, saying(OUTPUT, progress, dropped, COMPLETED));
  assert.deepEqual(await listened(client.stream("exec_1")), [
    ["output", "a", "stdout"],
    ["progress", { progress: 0.5, percent: 50, message: "half", wantsInput: true }],
    ["dropped", 9],
    ["complete", 3],
    ["completed", 3, "completed"],
  ]);
  assert.equal(said.length, 1);
  assert.equal(said[0]?.url.split("?")[0], "/api/v1/stream/exec_1");
  assert.ok(said[0]?.key === "Bearer the key" || said[0]?.url.endsWith("?api_key=the+key"));
});

test("for await, as often as wanted, each with the whole", async (context) => {
  const [client, said] = await socketServer(context, saying(OUTPUT, COMPLETED));
  const stream = client.stream("exec_1");
  for (let time = 0; time < 2; time += 1) {
    const events: sdk.StreamEvent[] = [];
    for await (const event of stream) events.push(event);
    assert.deepEqual(events.map(({ type, data }) => [type, data]), [["output", "a"], ["completed", ""]]);
    assert.deepEqual([events[1]?.exitCode, events[1]?.durationMs, events[1]?.executionId], [3, 5, "exec_1"]);
  }
  assert.equal(said.length, 2);
});

test("input and resize are sent; a refusal does not end the stream", async (context) => {
  const [client, said] = await socketServer(context, (socket, heard) => {
    socket.on("message", () => {
      const code = "INVALID_REQUEST";
      socket.send(JSON.stringify({ type: "error", execution_id: "exec_1", error: "takes none", code, fatal: false }));
      if (heard.messages.length === 2) socket.send(JSON.stringify(COMPLETED));
    });
  });
  const stream = client.stream("exec_1");
  const told = listened(stream);
  await stream.sendInput("typed\n");
  await stream.resize(120, 40);
  assert.deepEqual(await told, [
    ["error", "InvalidRequest", "INVALID_REQUEST"],
    ["error", "InvalidRequest", "INVALID_REQUEST"],
    ["complete", 3],
    ["completed", 3, "completed"],
  ]);
  assert.deepEqual(said[0]?.messages, [
    { type: "input", execution_id: "exec_1", data: "typed\n", end: false },
    { type: "resize", execution_id: "exec_1", cols: 120, rows: 40 },
  ]);
});

test("a loop that answers does so by its own connection", async (context) => {
  const wants = { type: "progress", execution_id: "exec_1", progress: 0.1, message: "waits", wants_input: true };
  const refusal = { type: "error", execution_id: "exec_1", error: "has ended", code: "INVALID_REQUEST", fatal: false };
  const [client, said] = await socketServer(context, (socket, heard) => {
    socket.send(JSON.stringify(wants));
    socket.on("message", () => {
      if (heard.messages.length === 1) socket.send(JSON.stringify(wants));
      else saying(refusal, COMPLETED)(socket);
    });
  });
  const stream = client.stream("exec_1");
  const events: sdk.StreamEvent[] = [];
  for await (const event of stream) {
    events.push(event);
    if (event.wantsInput !== true) continue;
    if (events.length === 1) await stream.sendInput("typed\n");
    else await stream.endInput();
  }
  assert.deepEqual(events.map(({ type, wantsInput, error }) => [type, wantsInput, error]), [
    ["progress", true, undefined],
    ["progress", true, undefined],
    ["error", undefined, "has ended"],
    ["completed", undefined, undefined],
  ]);
  assert.deepEqual(said.map(({ messages }) => messages), [[
    { type: "input", execution_id: "exec_1", data: "typed\n", end: false },
    { type: "input", execution_id: "exec_1", data: "", end: true },
  ]]);
});

test("long input is sent in parts that hold whole characters", async (context) => {
  const text = "\u0001".repeat(9_999) + "😀".repeat(10_001);
  const [client, said] = await socketServer(context, (socket) => {
    socket.on("message", (data) => {
      if (JSON.parse(String(data)).end === true) socket.send(JSON.stringify(COMPLETED));
    });
  });
  const stream = client.stream("exec_1");
  const told = listened(stream);
  await stream.sendInput(text, { end: true });
  await told;
  const messages = said[0]?.messages as { data: string; end: boolean }[];
  assert.equal(messages.map(({ data }) => data).join(""), text);
  assert.deepEqual(messages.map(({ end }) => end), [false, false, true]);
  for (const { data } of messages) {
    assert.ok(Buffer.byteLength(JSON.stringify(data)) < 64_000);
    assert.equal(Buffer.from(data).toString(), data);
  }
});

test("how a run can end otherwise", async (context) => {
  const ended = { type: "error", execution_id: "exec_1", error: "late", code: "EXECUTION_TIMEOUT", status: "timeout", exit_code: 124 };
  const [client] = await socketServer(context, saying(ended));
  assert.deepEqual(await listened(client.stream("exec_1")), [["error", "ExecutionTimeout", "EXECUTION_TIMEOUT"]]);
  const events: sdk.StreamEvent[] = [];
  for await (const event of client.stream("exec_1")) events.push(event);
  assert.deepEqual(events.map(({ type, error, exitCode }) => [type, error, exitCode]), [["error", "late", 124]]);
});

test("a run that is not there", async (context) => {
  const [client] = await socketServer(context, saying({ type: "error", execution_id: "exec_1", error: "none", code: "NOT_FOUND" }));
  assert.deepEqual(await listened(client.stream("exec_1")), [["error", "NotFound", "NOT_FOUND"]]);
  await assert.rejects(client.stream("exec_1")[Symbol.asyncIterator]().next(), { name: "NotFound", status: 404, message: "none" });
});

test("a refused upgrade says why", async (context) => {
  const [client] = await socketServer(context);
  assert.deepEqual(await listened(client.stream("exec_1")), [["error", "Unauthorized", "UNAUTHORIZED"]]);
  await assert.rejects(client.stream("exec_1")[Symbol.asyncIterator]().next(), sdk.Unauthorized);
  await assert.rejects(client.stream("exec_1").on("error", () => undefined).sendInput("x"), sdk.Unauthorized);
});

test("a stream that breaks off, or is none", async (context) => {
  const [breaking] = await socketServer(context, (socket) => {
    socket.send(JSON.stringify(OUTPUT));
    setTimeout(() => socket.terminate(), 20);
  });
  assert.deepEqual(await listened(breaking.stream("exec_1")), [["output", "a", "stdout"], ["error", "ConnectionFailed", ""]]);
  const [babbling] = await socketServer(context, (socket) => socket.send("hello"));
  assert.deepEqual(await listened(babbling.stream("exec_1")), [["error", "ConnectionFailed", ""]]);
});

test("nobody there, and a signal", async (context) => {
  const nobody = new FaaSClient({ endpoint: await closedEndpoint(), maxRetries: 0 });
  assert.deepEqual(await listened(nobody.stream("exec_1")), [["error", "ConnectionFailed", ""]]);
  const [client, said] = await socketServer(context, saying(OUTPUT));
  const controller = new AbortController();
  const events = client.stream("exec_1", { signal: controller.signal })[Symbol.asyncIterator]();
  assert.equal((await events.next()).value.data, "a");
  controller.abort(new Error("enough"));
  await assert.rejects(events.next(), /enough/);
  assert.equal(said.length, 1);
});

test("an error that nobody listens for is thrown where it shows", async () => {
  const { execFileSync } = await import("node:child_process");
  const index = new URL("../dist/esm/index.js", import.meta.url).href;
  const program = `
    const { FaaSClient } = await import(${JSON.stringify(index)});
    process.on("uncaughtException", (error) => { console.log(error.name); process.exit(0); });
    new FaaSClient({ endpoint: ${JSON.stringify(await closedEndpoint())}, maxRetries: 0 }).stream("exec_1").on("output", () => {});`;
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8", timeout: 20_000 });
  assert.equal(printed, "ConnectionFailed\n");
});
