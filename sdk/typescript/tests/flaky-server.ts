/** A local HTTP server that answers as it is told, request by request, and remembers what it was asked. */

import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

interface Answer {
  status: number;
  body: unknown;
  headers: Record<string, string>;
}

interface Asked {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface FlakyServer {
  url: string;
  requests: Asked[];
  willAnswer(status: number, body: unknown, headers?: Record<string, string>): void;
  willBreak(): void;
  /** Never answers the next request. */
  willHang(): void;
}

/** Closed after the test. */
export async function flakyServer(context: TestContext): Promise<FlakyServer> {
  const answers: (Answer | "break" | "hang")[] = [];
  const requests: Asked[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += String(part)));
    request.on("end", () => {
      requests.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
      const answer = answers.shift();
      if (answer === "hang") return;
      if (answer === undefined || answer === "break") {
        request.socket.destroy();
        return;
      }
      const raw = typeof answer.body === "string" || Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body);
      response.writeHead(answer.status, answer.headers).end(raw);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    willAnswer: (status, body, headers = {}) => void answers.push({ status, body, headers }),
    willBreak: () => void answers.push("break"),
    willHang: () => void answers.push("hang"),
  };
}

/** The error body of the API. */
export function errorBody(code: string, message = "why", details: object = {}): object {
  return { error: { code, message, details } };
}

/** An address at which nobody listens. */
export async function closedEndpoint(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}
