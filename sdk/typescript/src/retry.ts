/**
 * When a request is made again.
 *
 * - Nothing can have arrived (no connection was made): any request, whatever its method.
 * - The service says that it did not begin (503, 507): any request, after its `Retry-After`.
 * - The connection broke on the way, or 500, 502, 504: only requests that may be repeated (GET, and what
 *   has an idempotency key).
 *
 * 429 is the caller's to hear about, not ours to sit out. Pauses double from 0.25 s; a `Retry-After` over
 * 30 s is not waited for. An attempt that ran into its time limit is not made again; one that the platform gave up
 * before (Node.js waits five minutes for an answer) is, if it may be repeated, until that time is over.
 */

import { pause, within, type RequestOptions } from "./abort.js";
import { ConnectionFailed, RequestTimeout } from "./errors.js";

export interface HttpRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: BodyInit;
}

/** An answer, of whatever status. */
export interface HttpResponse {
  status: number;
  headers: Headers;
  content: Uint8Array;
}

export const pauses = { first: 250, longest: 30_000 };

const NOT_BEGUN = [503, 507];
const REPEATABLE = [500, 502, 504];
const NEVER_SENT = ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"];

const GIVEN_UP_BY_PLATFORM = "UND_ERR_HEADERS_TIMEOUT";

/** The first answer that ends it. Throws ConnectionFailed when there is none, and the signal's reason. */
export async function sendWithRetries(
  request: HttpRequest,
  maxRetries: number,
  options: RequestOptions & { timeout: number },
): Promise<HttpResponse> {
  const repeatable = request.method === "GET" || "Idempotency-Key" in request.headers;
  const begun = performance.now();
  for (let attempt = 0; ; attempt += 1) {
    const backoff = Math.min(pauses.longest, pauses.first * 2 ** attempt);
    let wait: number | undefined;
    let response: HttpResponse | undefined;
    let lost: unknown;
    try {
      response = await within(options.timeout, options.signal, request.url, (signal) => send(request, signal));
      wait = waitAfter(response, repeatable, backoff);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // fetch throws TypeError for what the network did
      lost = error;
      wait = repeatable || neverSent(error) ? backoff : undefined;
      if (codeOf(error) === GIVEN_UP_BY_PLATFORM) {
        const late = performance.now() - begun >= options.timeout;
        if (!repeatable || late) throw new RequestTimeout(`${request.url} does not answer in time`, { cause: error });
        attempt -= 1;
      }
    }
    if (wait === undefined || attempt >= maxRetries) {
      if (response !== undefined) return response;
      throw new ConnectionFailed(`${request.url} does not answer: ${reason(lost)}`, { cause: lost });
    }
    await pause(wait, options.signal);
  }
}

async function send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  const { url, ...init } = request;
  const response = await fetch(url, { ...init, signal });
  return {
    status: response.status,
    headers: response.headers,
    content: new Uint8Array(await response.arrayBuffer()),
  };
}

/** Milliseconds until the next attempt; undefined when there must be none. */
function waitAfter(response: HttpResponse, repeatable: boolean, backoff: number): number | undefined {
  const again = NOT_BEGUN.includes(response.status) || (repeatable && REPEATABLE.includes(response.status));
  if (!again) return undefined;
  const asked = retryAfter(response.headers);
  if (asked === undefined) return backoff;
  return asked <= pauses.longest ? asked : undefined;
}

/** Milliseconds; the date form is not used by this API and reads as none. */
function retryAfter(headers: Headers): number | undefined {
  const value = headers.get("retry-after") ?? "";
  return /^\d+$/.test(value) ? Number(value) * 1000 : undefined;
}

/** Browsers do not say; then it may have arrived. */
function neverSent(error: TypeError): boolean {
  return NEVER_SENT.includes(codeOf(error));
}

/** Why Node.js has no answer; empty where it is not said. */
function codeOf({ cause }: TypeError): string {
  return typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "";
}

function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
