/** A WebSocket to the API: the platform's, or that of the optional package `ws` where Node.js has none. */

import { within } from "./abort.js";
import { ConnectionFailed } from "./errors.js";
import type { RestApi } from "./rest.js";

/**
 * Opens one; `attach` is given it before anything can arrive. Throws ConnectionFailed when it cannot be opened,
 * which says nothing of why, and the signal's reason.
 */
export async function openSocket(
  api: RestApi,
  path: string,
  attach: (socket: WebSocket) => void,
  signal?: AbortSignal,
): Promise<WebSocket> {
  const url = api.socketUrl(path);
  const socket = await connect(api, url);
  attach(socket);
  try {
    return await within(api.timeout, signal, url, (limit) => opened(socket, url, limit));
  } catch (error) {
    socket.close();
    throw error;
  }
}

/** The platform's cannot send headers: the key goes into the query. */
async function connect(api: RestApi, url: string): Promise<WebSocket> {
  if (typeof WebSocket === "function") return new WebSocket(url + api.authorizationQuery());
  try {
    const { WebSocket: Fallback } = await import("ws");
    return new Fallback(url, { headers: api.authorization() });
  } catch (error) {
    throw new ConnectionFailed("there is no WebSocket here: use Node.js 22 or newer, or install the package 'ws'", {
      cause: error,
    });
  }
}

function opened(socket: WebSocket, url: string, signal: AbortSignal): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const fail = (): void => reject(new ConnectionFailed(`${url} cannot be opened`));
    socket.addEventListener("open", () => resolve(socket), { once: true });
    socket.addEventListener("error", fail); // and stays: an error that nobody hears would end a process
    socket.addEventListener("close", fail, { once: true });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
