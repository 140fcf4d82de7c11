/** What browsers load: nothing of Node.js, and it runs with their globals alone. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules, createRequire } from "node:module";
import { test } from "node:test";

import { closedEndpoint, flakyServer } from "./flaky-server.js";

const ESM = new URL("../dist/esm/", import.meta.url);

test("no module of Node.js is imported", () => {
  for (const name of readdirSync(ESM).filter((file) => file.endsWith(".js"))) {
    const source = readFileSync(new URL(name, ESM), "utf8");
    const imported = [...source.matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map((match) => match[1] ?? "");
    for (const module of imported) assert.ok(!builtinModules.includes(module.replace(/^node:/, "")), `${name}: ${module}`);
  }
});

test("it runs where there is neither process nor Buffer, but for Node.js's own fetch", async (context) => {
  const server = await flakyServer(context);
  server.willAnswer(200, { execution_id: "exec_1", status: "completed", mode: "ephemeral", stdout: "42\n" });
  const program = `
    const say = process.stdout.write.bind(process.stdout);
    const real = { process, Buffer };
    for (const name of ["process", "Buffer"]) {
      const get = () => (new Error().stack.split("\\n")[2].includes("node:") ? real[name] : undefined);
      Object.defineProperty(globalThis, name, { get });
    }
    if (globalThis.process !== undefined || globalThis.Buffer !== undefined) throw new Error("still there");
    const { FaaSClient, TangleFaaSClient } = await import(${JSON.stringify(new URL("index.js", ESM).href)});
    new TangleFaaSClient({ rpcUrl: "wss://x", serviceId: 1 });
    const client = new FaaSClient({ endpoint: ${JSON.stringify(server.url)} });
    const { stdout } = await client.execute({ code: "1", language: "python", files: { a: "b" } });
    say(stdout);`;
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { timeout: 30_000 });
  let printed = "";
  for await (const part of child.stdout) printed += String(part);
  assert.equal(printed, "42\n");
});

test("require gives the same", () => {
  const require = createRequire(import.meta.url);
  const { FaaSClient, TangleFaaSClient } = require("../dist/cjs/index.js") as typeof import("../dist/esm/index.js");
  assert.equal(typeof new FaaSClient().execute, "function");
  assert.throws(() => new TangleFaaSClient({ rpcUrl: "ftp://x", serviceId: 1 }), TypeError);
});

test("require finds a WebSocket as import does", async () => {
  const index = new URL("../dist/cjs/index.js", import.meta.url).pathname;
  const endpoint = await closedEndpoint();
  const program = `
    const { FaaSClient } = require(${JSON.stringify(index)});
    const stream = new FaaSClient({ endpoint: "${endpoint}", maxRetries: 0 }).stream("exec_1");
    stream[Symbol.asyncIterator]().next().catch((error) => console.log(error.message));`;
  const printed = execFileSync(process.execPath, ["-e", program], { encoding: "utf8", timeout: 20_000 });
  assert.ok(printed.startsWith(`${endpoint}/api/v1/executions/exec_1 does not answer`), printed);
});
