/** Time limits and abort signals, together. */

import { RequestTimeout } from "./errors.js";

/** Options of a single request. */
export interface RequestOptions {
  /** Gives the request up; the promise is then rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for each attempt, in place of the client's. */
  timeout?: number | undefined;
}

/** Runs `work` with a signal that fires on `signal` or after `timeout` milliseconds; then throws why. */
export async function within<T>(
  timeout: number,
  signal: AbortSignal | undefined,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const late = new RequestTimeout(`${what} does not answer within ${timeout} ms`);
  const timer = setTimeout(() => controller.abort(late), timeout);
  const abort = (): void => controller.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await work(controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Lets milliseconds pass. Throws the signal's reason when it fires meanwhile. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", abort, { once: true });
  });
}
