/** The client of the REST API. */

import type { RequestOptions } from "./abort.js";
import { randomHex } from "./bytes.js";
import { RequestTimeout } from "./errors.js";
import {
  begunOf,
  executeBody,
  executionOf,
  patienceFor,
  type Begun,
  type ExecuteRequest,
  type Execution,
} from "./execution.js";
import type { ReceiptFile } from "./receipt-file.js";
import { idPart, pathParts } from "./request-parts.js";
import { RestApi, type ClientOptions } from "./rest.js";
import {
  branchOf,
  executionLineOf,
  logsOf,
  mergedOf,
  pageOf,
  restoredOf,
  sessionOf,
  snapshotOf,
  type Branch,
  type ExecutionLine,
  type Logs,
  type Merged,
  type Metadata,
  type Page,
  type Restored,
  type Session,
  type Snapshot,
} from "./state.js";
import { ExecutionStream } from "./stream.js";
import { Usage } from "./usage.js";
import { snake, wireObject } from "./wire.js";

/** Options of a run. */
export interface ExecuteOptions extends RequestOptions {
  /** The same request under the same key runs once. Default: a new one for each call. */
  idempotencyKey?: string | undefined;
}

/** A part of a list. */
export interface Range {
  limit?: number | undefined;
  offset?: number | undefined;
}

/** What the service says of itself. */
export interface Health extends Record<string, unknown> {
  status: string;
}

/** Runs programs on a FaaS service. Every method throws ApiError and ConnectionFailed. */
export class FaaSClient {
  readonly usage: Usage;
  readonly #api: RestApi;

  constructor(options: ClientOptions = {}) {
    this.#api = new RestApi(options);
    this.usage = new Usage(this.#api);
  }

  /**
   * Runs a program and waits for it. A program that exits with another code than 0 is no error.
   *
   * When the connection breaks, the request is made again under its idempotency key: it runs once. One that
   * is given up (`signal`, `timeout`) is cancelled, unless the key was yours: then it may be asked for again.
   */
  async execute(request: ExecuteRequest, options: ExecuteOptions = {}): Promise<Execution> {
    const ours = options.idempotencyKey === undefined;
    const executionId = request.executionId ?? (ours ? `exec_${randomHex(12)}` : undefined);
    try {
      const timeout = options.timeout ?? this.#api.timeoutOfRun(patienceFor(request));
      return executionOf(await this.#execute({ ...request, executionId }, {}, { ...options, timeout }));
    } catch (error) {
      const givenUp = error instanceof RequestTimeout || options.signal?.aborted === true;
      if (ours && executionId !== undefined && givenUp) {
        void this.cancel(executionId).catch(() => undefined); // it may not have begun, or be over
      }
      throw error;
    }
  }

  /** Asks for a run and does not wait for it: `stream`, `execution` and `cancel` take its id. */
  async start(request: ExecuteRequest, options: ExecuteOptions = {}): Promise<Begun> {
    return begunOf(await this.#execute(request, { async: true }, options));
  }

  /** What a run says, from its beginning to its end: with `on(…)`, or `for await`. */
  stream(executionId: string, options: { signal?: AbortSignal | undefined } = {}): ExecutionStream {
    return new ExecutionStream(this.#api, executionId, options.signal);
  }

  /** A run, finished or not. */
  async execution(executionId: string, options: RequestOptions = {}): Promise<Execution> {
    return executionOf(await this.#get(`/executions/${idPart(executionId)}`, {}, options));
  }

  /** Runs, newest first, as lists have them: without their output, files, cost and receipt. */
  async executions(
    filter: Range & { status?: string; mode?: string; language?: string } = {},
    options: RequestOptions = {},
  ): Promise<Page<ExecutionLine>> {
    return pageOf(await this.#get("/executions", { ...filter }, options), "executions", executionLineOf);
  }

  /** Stops a run and its machine. One that is over stays as it is. */
  async cancel(executionId: string, options: RequestOptions = {}): Promise<Execution> {
    return executionOf(await this.#api.call("POST", `/executions/${idPart(executionId)}/cancel`, {}, options));
  }

  /** Gives an interactive run's terminal another size, once the program has what was typed before. */
  async resize(executionId: string, cols: number, rows: number, options: RequestOptions = {}): Promise<void> {
    await this.#api.call("POST", `/executions/${idPart(executionId)}/resize`, { body: { cols, rows } }, options);
  }

  /** What a run has written so far. */
  async logs(executionId: string, options: RequestOptions = {}): Promise<Logs> {
    return logsOf(await this.#get(`/executions/${idPart(executionId)}/logs`, {}, options));
  }

  /** What `faas verify` and `verifyReceiptFile` take: receipt, signature, job and outcome. */
  async receiptFile(executionId: string, options: RequestOptions = {}): Promise<ReceiptFile> {
    const answer = await this.#get(`/executions/${idPart(executionId)}/receipt`, {}, options);
    return wireObject<ReceiptFile>(answer, "a receipt file", "receipt", "signature");
  }

  /** A file that the program left in its output folder. Throws TypeError for a path out of that folder. */
  async outputFile(executionId: string, path: string, options: RequestOptions = {}): Promise<Uint8Array> {
    return this.#api.bytes(`/executions/${idPart(executionId)}/files/${pathParts(path)}`, options);
  }

  /** The machine of a run: at its end, where it is now, or `virtualMs` into it. */
  async createSnapshot(
    executionId: string,
    given: { metadata?: Metadata; virtualMs?: number } = {},
    options: RequestOptions = {},
  ): Promise<Snapshot> {
    const body = snake({ executionId, ...given });
    return snapshotOf(await this.#api.call("POST", "/snapshots", { body }, options));
  }

  /** Snapshots, newest first. */
  async listSnapshots(
    filter: Range & { mode?: string; parentId?: string; executionId?: string } = {},
    options: RequestOptions = {},
  ): Promise<Page<Snapshot>> {
    return pageOf(await this.#get("/snapshots", filter, options), "snapshots", snapshotOf);
  }

  async getSnapshot(snapshotId: string, options: RequestOptions = {}): Promise<Snapshot> {
    return snapshotOf(await this.#get(`/snapshots/${idPart(snapshotId)}`, {}, options));
  }

  /** A machine that stands where the snapshot was taken. */
  async restoreSnapshot(snapshotId: string, options: RequestOptions = {}): Promise<Restored> {
    return restoredOf(await this.#api.call("POST", `/snapshots/${idPart(snapshotId)}/restore`, {}, options));
  }

  /** Deletes a snapshot, with all made from it if `cascade`; without, an error while there is any. */
  async deleteSnapshot(snapshotId: string, given: { cascade?: boolean } = {}, options: RequestOptions = {}): Promise<void> {
    await this.#api.call("DELETE", `/snapshots/${idPart(snapshotId)}`, { query: { ...given } }, options);
  }

  /** Files, pages and registers by which a snapshot differs from another, its parent by default. */
  async diffSnapshot(
    snapshotId: string,
    given: { against?: string } = {},
    options: RequestOptions = {},
  ): Promise<Record<string, unknown>> {
    return wireObject(await this.#get(`/snapshots/${idPart(snapshotId)}/diff`, given, options), "a difference");
  }

  /** A proof of what a snapshot holds at a path or in a page. */
  async proveSnapshot(
    snapshotId: string,
    given: { path?: string; page?: number; content?: boolean },
    options: RequestOptions = {},
  ): Promise<Record<string, unknown>> {
    return wireObject(await this.#get(`/snapshots/${idPart(snapshotId)}/proof`, given, options), "a proof");
  }

  /** Begins a branch at a snapshot, or where another branch stands. */
  async createBranch(
    from: string | { snapshotId?: string; parentBranch?: string },
    given: { metadata?: Metadata } = {},
    options: RequestOptions = {},
  ): Promise<Branch> {
    const start = typeof from === "string" ? { snapshotId: from } : from;
    return branchOf(await this.#api.call("POST", "/branches", { body: snake({ ...start, ...given }) }, options));
  }

  /** Branches, newest first. */
  async listBranches(
    filter: Range & { snapshotId?: string; parentBranch?: string } = {},
    options: RequestOptions = {},
  ): Promise<Page<Branch>> {
    return pageOf(await this.#get("/branches", filter, options), "branches", branchOf);
  }

  async getBranch(branchId: string, options: RequestOptions = {}): Promise<Branch> {
    return branchOf(await this.#get(`/branches/${idPart(branchId)}`, {}, options));
  }

  /**
   * Merges the files of branches into a new snapshot. What the strategy (`three_way`, `ours`, `theirs`,
   * `union`) does not decide is an InvalidRequest with status 409, whose `details` list the `conflicts`.
   */
  async mergeBranches(
    branchIds: readonly string[],
    given: { strategy?: string; metadata?: Metadata } = {},
    options: RequestOptions = {},
  ): Promise<Merged> {
    const body = snake({ branchIds, ...given });
    return mergedOf(await this.#api.call("POST", "/branches/merge", { body }, options));
  }

  /** Forgets a branch; its snapshots stay. */
  async deleteBranch(branchId: string, options: RequestOptions = {}): Promise<void> {
    await this.#api.call("DELETE", `/branches/${idPart(branchId)}`, {}, options);
  }

  /** Machines that stay up, newest first. */
  async listSessions(range: Range = {}, options: RequestOptions = {}): Promise<Page<Session>> {
    return pageOf(await this.#get("/sessions", range, options), "sessions", sessionOf);
  }

  /** Frees a session's machine and forgets it. */
  async endSession(session: string, options: RequestOptions = {}): Promise<void> {
    await this.#api.call("DELETE", `/sessions/${idPart(session)}`, {}, options);
  }

  /** What the service says of itself. */
  async health(options: RequestOptions = {}): Promise<Health> {
    return wireObject<Health>(await this.#get("/health", {}, options), "a health report", "status");
  }

  #execute(request: ExecuteRequest, more: { async?: true }, options: ExecuteOptions): Promise<unknown> {
    const idempotencyKey = options.idempotencyKey ?? randomHex(16);
    const body = { ...executeBody(request), ...more };
    return this.#api.call("POST", "/execute", { body, idempotencyKey }, options);
  }

  #get(path: string, query: object, options: RequestOptions): Promise<unknown> {
    return this.#api.call("GET", path, { query: snake(query) as Record<string, string | number | boolean> }, options);
  }
}
