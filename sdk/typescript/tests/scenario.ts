/**
 * Runs a scenario of `tests/sdk/scenario.json` with this SDK: `scenario.js FILE PART`; the node's places stand in
 * the environment. Prints one JSON object: what each step reported. Fails at the first step that differs.
 * The Python SDK's runner is `tests/sdk/scenario_runner.py`; the file says what the words mean.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { FaaSClient, FaaSError, TangleFaaSClient, type ExecuteRequest, type JobCall, type TangleResult } from "../dist/esm/index.js";
import { parseJson, stringifyJson } from "../dist/esm/json.js";

type Json = Record<string, unknown>;

interface Step {
  name: string;
  call: string;
  with?: Json;
  as?: string;
  expect?: Json;
  error?: { code: string; status: number };
  report?: string[];
}

/** What is typed at once, or the terminal's size from then on. */
type Typed = string | { cols: number; rows: number };

const camelName = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const camel = (fields: Json): Json => Object.fromEntries(Object.entries(fields).map(([name, value]) => [camelName(name), value]));
const text = (value: unknown): string => value as string;

/** The words of the scenario as calls of this SDK. */
function restCalls(client: FaaSClient): Record<string, (given: Json) => Promise<unknown>> {
  const request = ({ idempotency_key: _, resources, ...rest }: Json): ExecuteRequest =>
    ({ ...camel(rest), ...(resources === undefined ? {} : { resources: camel(resources as Json) }) }) as unknown as ExecuteRequest;
  const key = (given: Json): { idempotencyKey?: string } =>
    given["idempotency_key"] === undefined ? {} : { idempotencyKey: text(given["idempotency_key"]) };
  return {
    health: () => client.health(),
    execute: (given) => client.execute(request(given), key(given)),
    start: (given) => client.start(request(given), key(given)),
    execution: (given) => client.execution(text(given["execution_id"])),
    executions: (given) => client.executions(camel(given)),
    cancel: (given) => client.cancel(text(given["execution_id"])),
    logs: (given) => client.logs(text(given["execution_id"])),
    receipt_file: (given) => client.receiptFile(text(given["execution_id"])),
    output_file: async (given) => new TextDecoder().decode(await client.outputFile(text(given["execution_id"]), text(given["path"]))),
    stream: (given) => streamed(client, text(given["execution_id"])),
    answer: (given) => answered(client, text(given["execution_id"]), given["typed"] as Typed[]),
    resize: ({ execution_id, cols, rows }) => client.resize(text(execution_id), cols as number, rows as number),
    create_snapshot: ({ execution_id, ...rest }) => client.createSnapshot(text(execution_id), camel(rest)),
    list_snapshots: (given) => client.listSnapshots(camel(given)),
    get_snapshot: (given) => client.getSnapshot(text(given["snapshot_id"])),
    restore_snapshot: (given) => client.restoreSnapshot(text(given["snapshot_id"])),
    delete_snapshot: ({ snapshot_id, ...rest }) => client.deleteSnapshot(text(snapshot_id), rest),
    diff_snapshot: ({ snapshot_id, ...rest }) => client.diffSnapshot(text(snapshot_id), rest),
    prove_snapshot: ({ snapshot_id, ...rest }) => client.proveSnapshot(text(snapshot_id), rest),
    create_branch: ({ metadata, ...rest }) => client.createBranch(camel(rest), metadata === undefined ? {} : { metadata: metadata as Json }),
    list_branches: (given) => client.listBranches(camel(given)),
    get_branch: (given) => client.getBranch(text(given["branch_id"])),
    merge_branches: ({ branch_ids, ...rest }) => client.mergeBranches(branch_ids as string[], rest),
    delete_branch: (given) => client.deleteBranch(text(given["branch_id"])),
    end_session: (given) => client.endSession(text(given["session"])),
    usage: (given) => client.usage.getMetrics(camel(given)),
    current_usage: () => client.usage.getCurrent(),
    pricing: () => client.usage.getPricing(),
  };
}

function tangleCalls(client: TangleFaaSClient): Record<string, (given: Json) => Promise<unknown>> {
  return {
    find_service: () => client.findService(),
    submit_job: (given) => client.submitJob(camel(given) as never),
    create_snapshot: (given) => client.createSnapshot(camel(given) as never),
    create_branch: ({ snapshot, ...fork }) => client.createBranch(text(snapshot), fork),
    merge_branches: ({ branches, ...merge }) => client.mergeBranches(branches as string[], merge),
    restore_snapshot: ({ snapshot, ...options }) => client.restoreSnapshot(text(snapshot), options),
    wait_for_result: (given) => client.waitForResult(given["job"] as JobCall, { timeout: 120_000 }),
    show: (given) => client.show(given["job"] as JobCall),
    verify: (given) => client.verify(given["result"] as TangleResult),
    output_file: async (given) =>
      new TextDecoder().decode(await client.outputFile(given["result"] as TangleResult, text(given["path"]))),
  };
}

async function streamed(client: FaaSClient, executionId: string): Promise<Json> {
  let output = "";
  let last = "";
  let exitCode: number | null | undefined;
  for await (const event of client.stream(executionId)) {
    output += event.data;
    last = event.type;
    exitCode = event.exitCode;
  }
  return { output, last, exitCode };
}

async function answered(client: FaaSClient, executionId: string, typed: Typed[]): Promise<Json> {
  const stream = client.stream(executionId);
  const answers = typed.values();
  let output = "";
  let waits = 0;
  for await (const event of stream) {
    output += event.data;
    if (event.wantsInput === true) {
      waits += 1;
      const answer = answers.next().value;
      assert.ok(answer, "it waits for more than is typed");
      if (typeof answer === "string") await stream.sendInput(answer);
      else await stream.resize(answer.cols, answer.rows);
    } else if (event.type === "completed") return { output, last: event.type, exitCode: event.exitCode, waits };
  }
  return { output, waits };
}

/** What stands at a path such as `receipt.state_root` or `items.0.id`. */
function at(value: unknown, path: string): unknown {
  if (path === ".") return value;
  return path.split(".").reduce<unknown>((inner, name) => {
    if (name === "length") return (inner as unknown[]).length;
    const fields = inner as Json | undefined;
    return fields?.[name] ?? fields?.[camelName(name)];
  }, value);
}

/** Replaces `$name.path` by what an earlier step answered. */
function filled(value: unknown, answers: Map<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((item) => filled(item, answers));
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, filled(item, answers)]));
  }
  if (typeof value !== "string" || !value.startsWith("$")) return value;
  const [name, ...path] = value.slice(1).split(".");
  return at(answers.get(name ?? ""), path.join(".") || ".");
}

/** As JSON has it, equal for equal numbers. */
const plain = (value: unknown): unknown => parseJson(stringifyJson(value ?? null));

async function run(steps: Step[], calls: Record<string, (given: Json) => Promise<unknown>>): Promise<Json> {
  const answers = new Map<string, unknown>();
  const reports: Json = {};
  for (const step of steps) {
    const call = calls[step.call];
    assert.ok(call, `no call ${step.call}`);
    try {
      const answer = await call(filled(step.with ?? {}, answers) as Json);
      assert.equal(step.error, undefined, `${step.name}: no error`);
      if (step.as !== undefined) answers.set(step.as, answer);
      for (const [path, expected] of Object.entries(step.expect ?? {})) {
        assert.deepEqual(plain(at(answer, path)), plain(filled(expected, answers)), `${step.name}: ${path}`);
      }
      if (step.report !== undefined) reports[step.name] = step.report.map((path) => plain(at(answer, path)));
    } catch (error) {
      if (!(error instanceof FaaSError)) throw error;
      if (step.error === undefined) throw new Error(`${step.name}: ${String(error)}`, { cause: error });
      else assert.deepEqual([error.code, error.status], [step.error.code, step.error.status], step.name);
    }
  }
  return reports;
}

const [file = "", part = ""] = process.argv.slice(2);
const scenario = parseJson(readFileSync(file, "utf8")) as Record<string, Step[]>;
const env = (name: string): string => process.env[name] ?? "";
const calls =
  part === "tangle" || part === "substrate"
    ? tangleCalls(
        new TangleFaaSClient({ rpcUrl: env("FAAS_RPC_URL"), blueprintId: BigInt(env("FAAS_BLUEPRINT_ID")), endpoint: process.env["FAAS_ENDPOINT"], pollInterval: 50 }),
      )
    : restCalls(new FaaSClient({ timeout: 120_000 }));
console.log(stringifyJson(await run(scenario[part] ?? [], calls)));
