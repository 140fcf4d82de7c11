/**
 * Stands in for name resolution: loaded before a program that names addresses of the platform's documentation,
 * it sends what goes there to those in FAAS_TEST_ROUTES instead, a JSON object from origin to origin.
 */

import { WebSocket as Fallback } from "ws";

const routes = Object.entries(JSON.parse(process.env["FAAS_TEST_ROUTES"] ?? "{}") as Record<string, string>);

function routed(url: string): string {
  const route = routes.find(([from]) => url.startsWith(from));
  return route === undefined ? url : route[1] + url.slice(route[0].length);
}

const { fetch } = globalThis;
globalThis.fetch = (input, init) => fetch(routed(String(input)), init);

globalThis.WebSocket = class extends Fallback {
  constructor(url: string) {
    super(routed(url));
  }
} as unknown as typeof WebSocket;
