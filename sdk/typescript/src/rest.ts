/** Requests to one service with one key: addresses, headers, bodies, errors. What is asked stands in `client`. */

import type { RequestOptions } from "./abort.js";
import { fromEnvironment } from "./environment.js";
import { apiError, ConnectionFailed } from "./errors.js";
import { parseJson, stringifyJson } from "./json.js";
import { headerValue } from "./request-parts.js";
import { sendWithRetries, type HttpResponse } from "./retry.js";

/** Where `faas up` listens. */
export const DEFAULT_ENDPOINT = "http://127.0.0.1:8080";

const DEFAULT_TIMEOUT = 30_000;

const PREFIX = "/api/v1";

export interface ClientOptions {
  /** Default: `FAAS_API_KEY`. */
  apiKey?: string | undefined;
  /** With `/api/v1` at its end or without; default: `FAAS_ENDPOINT`, then `http://127.0.0.1:8080`. */
  endpoint?: string | undefined;
  /** Milliseconds for each attempt; default: 30,000, and for `execute` ten more for each one of `timeoutMs`. */
  timeout?: number | undefined;
  maxRetries?: number | undefined;
}

interface Call {
  body?: object;
  query?: Record<string, string | number | boolean | undefined>;
  idempotencyKey?: string | undefined;
}

/** One service, one key. Holds no connection. Throws TypeError for options that make no client. */
export class RestApi {
  /** Without the `/api/v1` that all routes but `/health` stand under. */
  readonly endpoint: string;
  readonly timeout: number;
  readonly #waitsForRuns: boolean;
  readonly #apiKey: string | undefined;
  readonly #maxRetries: number;

  constructor(options: ClientOptions) {
    const url = (options.endpoint ?? fromEnvironment("FAAS_ENDPOINT") ?? DEFAULT_ENDPOINT).replace(/\/+$/, "");
    if (!/^https?:\/\//.test(url)) throw new TypeError(`endpoint must start with http:// or https://, got '${url}'`);
    this.endpoint = url.endsWith(PREFIX) ? url.slice(0, -PREFIX.length) : url;
    this.timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#waitsForRuns = options.timeout === undefined;
    const key = options.apiKey || fromEnvironment("FAAS_API_KEY");
    this.#apiKey = key === undefined ? undefined : headerValue(key, "apiKey");
    this.#maxRetries = options.maxRetries ?? 3;
    if (this.#maxRetries < 0) throw new TypeError("maxRetries must not be negative");
  }

  /** Milliseconds for an attempt whose answer is a run's end. */
  timeoutOfRun(patience: number): number {
    return this.timeout + (this.#waitsForRuns ? patience : 0);
  }

  /** The answer's JSON, undefined when it is empty. Throws ApiError, ConnectionFailed, the signal's reason. */
  async call(method: string, path: string, call: Call = {}, options: RequestOptions = {}): Promise<unknown> {
    const headers: Record<string, string> = { Accept: "application/json", ...this.authorization() };
    if (call.idempotencyKey !== undefined) headers["Idempotency-Key"] = headerValue(call.idempotencyKey, "idempotencyKey");
    if (call.body !== undefined) headers["Content-Type"] = "application/json";
    const body = call.body === undefined ? {} : { body: stringifyJson(call.body) };
    const url = this.endpoint + (path === "/health" ? path : PREFIX + path) + queryOf(call.query ?? {});
    return answer(await this.#send({ method, url, headers, ...body }, options));
  }

  /** The answer's bytes. Throws likewise. */
  async bytes(path: string, options: RequestOptions = {}): Promise<Uint8Array> {
    const headers = { Accept: "application/octet-stream", ...this.authorization() };
    const response = await this.#send({ method: "GET", url: this.endpoint + PREFIX + path, headers }, options);
    if (response.status >= 400) answer(response);
    return response.content;
  }

  /** Whether there is a key. */
  get hasKey(): boolean {
    return this.#apiKey !== undefined;
  }

  /** Brings bytes. Throws likewise. */
  async put(path: string, content: Uint8Array, options: RequestOptions = {}): Promise<unknown> {
    const headers = { Accept: "application/json", "Content-Type": "application/octet-stream", ...this.authorization() };
    const url = this.endpoint + PREFIX + path;
    return answer(await this.#send({ method: "PUT", url, headers, body: new Uint8Array(content) }, options));
  }

  /** The address of a WebSocket. */
  socketUrl(path: string): string {
    return this.endpoint.replace(/^http/, "ws") + PREFIX + path;
  }

  /** The header that carries the key. */
  authorization(): Record<string, string> {
    return this.#apiKey === undefined ? {} : { Authorization: `Bearer ${this.#apiKey}` };
  }

  /** The query that carries it where headers cannot be sent. */
  authorizationQuery(): string {
    return queryOf({ api_key: this.#apiKey });
  }

  #send(request: Parameters<typeof sendWithRetries>[0], options: RequestOptions): Promise<HttpResponse> {
    return sendWithRetries(request, this.#maxRetries, { ...options, timeout: options.timeout ?? this.timeout });
  }
}

function queryOf(fields: Record<string, string | number | boolean | undefined>): string {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return given.length === 0 ? "" : `?${query}`;
}

function answer(response: HttpResponse): unknown {
  const text = new TextDecoder().decode(response.content);
  let body: unknown;
  try {
    body = text === "" ? undefined : parseJson(text);
  } catch (error) {
    if (response.status < 400) {
      throw new ConnectionFailed("the answer is not JSON: is this the API's address?", { cause: error });
    }
  }
  if (response.status >= 400) throw apiError(response.status, body);
  return body;
}
