/** What is used of the optional package `ws`: a WebSocket that can send headers. */
declare module "ws" {
  export const WebSocket: new (url: string, options: { headers: Record<string, string> }) => globalThis.WebSocket;
}
