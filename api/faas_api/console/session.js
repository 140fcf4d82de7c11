// Talking to the API with one key, which is kept in this tab's session storage only.

const STORED = "faas-console-session";
const ROOT = "/api/v1";

/** An answer with a status of 400 or more, or none at all (status 0). */
export class ApiError extends Error {
  constructor(status, code, message, details = {}) {
    super(message);
    Object.assign(this, { status, code, details });
  }
}

/** Asks without a key. Answers the JSON. Throws ApiError. */
export async function ask(method, path, body, key) {
  return (await respond(method, path, body, key)).json();
}

async function respond(method, path, body, key) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(ROOT + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new ApiError(0, "", "The service does not answer. Is it running, and are you connected?");
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response) {
  try {
    const { code, message, details } = (await response.json()).error;
    return new ApiError(response.status, code, message, details);
  } catch {
    return new ApiError(response.status, "", `The service answered ${response.status} ${response.statusText}`);
  }
}

/** Somebody who is signed in. */
export class Session {
  #key;
  #wallet;

  /** `account` is what `GET /account` says; `wallet` whether the key was made for this tab by signing in. */
  constructor(key, account, wallet, over) {
    this.#key = key;
    this.#wallet = wallet;
    this.account = account;
    this.over = over;
  }

  /** Signs in. `over(error)` is called when the key is not valid any more. Throws ApiError. */
  static async open(key, over, wallet = false) {
    const printable = /^[\x21-\x7e]+$/.test(key);
    if (!printable) throw new ApiError(401, "UNAUTHORIZED", "an API key has no spaces and no special characters");
    const session = new Session(key, await ask("GET", "/account", undefined, key), wallet, over);
    sessionStorage.setItem(STORED, JSON.stringify({ key, wallet }));
    return session;
  }

  /** The session that this tab had before it was loaded again, or null. Throws ApiError. */
  static async resume(over) {
    const stored = sessionStorage.getItem(STORED);
    if (stored === null) return null;
    const { key, wallet } = JSON.parse(stored);
    try {
      return await Session.open(key, over, wallet);
    } catch (error) {
      if (error.status === 401) sessionStorage.removeItem(STORED);
      throw error;
    }
  }

  /** Whether the key has a scope. */
  may(scope) {
    return this.account.scopes.includes(scope);
  }

  get(path, query) {
    return this.#json("GET", path + queryOf(query));
  }

  post(path, body) {
    return this.#json("POST", path, body ?? {});
  }

  delete(path, query) {
    return this.#json("DELETE", path + queryOf(query));
  }

  /** All entries of a list, up to `most`, and how many there are. */
  async all(path, name, query, most = 1000) {
    const entries = [];
    for (;;) {
      const page = await this.get(path, { ...query, limit: 100, offset: entries.length });
      entries.push(...page[name]);
      if (page[name].length === 0 || entries.length >= Math.min(page.total, most)) return { entries, total: page.total };
    }
  }

  /** A file's bytes. */
  async bytes(path) {
    return (await this.#admitted(() => respond("GET", path, undefined, this.#key))).arrayBuffer();
  }

  /** A WebSocket that follows an execution. A browser's cannot set headers, so the key is in the query. */
  follow(executionId) {
    const url = new URL(`${ROOT}/stream/${encodeURIComponent(executionId)}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("api_key", this.#key);
    return new WebSocket(url);
  }

  /** Forgets the key; one that a wallet's signature made for this tab is revoked. */
  async close() {
    sessionStorage.removeItem(STORED);
    if (!this.#wallet || !this.may("keys")) return;
    await ask("DELETE", `/keys/${encodeURIComponent(this.account.key_id)}`, undefined, this.#key).catch(() => undefined);
  }

  async #json(method, path, body) {
    const response = await this.#admitted(() => respond(method, path, body, this.#key));
    return response.status === 204 ? null : response.json();
  }

  async #admitted(request) {
    try {
      return await request();
    } catch (error) {
      if (error.status === 401) {
        sessionStorage.removeItem(STORED);
        this.over(error);
      }
      throw error;
    }
  }
}

function queryOf(values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
