/** What is used of the optional package `ws`; its own types would bring those of Node.js along. */

/** A WebSocket that can send headers. */
export const WebSocket: new (url: string, options: { headers: Record<string, string> }) => globalThis.WebSocket;
