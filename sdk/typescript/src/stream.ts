/** A run as it happens. */

import { ConnectionFailed, errorOf, type ApiError, type FaaSError } from "./errors.js";
import { parseJson } from "./json.js";
import { idPart } from "./request-parts.js";
import type { RestApi } from "./rest.js";
import { openSocket } from "./socket.js";
import { camel } from "./wire.js";

/** Of input that is sent at once: the API takes messages of 64 KiB, and JSON may have 6 bytes for a character. */
const PIECE_LENGTH = 10_000;

/** One thing that a run says. */
export interface StreamEvent {
  /** Exactly one `completed` or `error` is the last. */
  type: "output" | "progress" | "dropped" | "completed" | "error";
  executionId: string;
  /** Of `output`; else empty. */
  data: string;
  /** Of `output`. */
  stream?: "stdout" | "stderr";
  /** Of `completed`, and of an `error` where the run had one. */
  exitCode?: number | null;
  /** Of `error`. */
  error?: string;
  /** Of `error`: the API's. */
  code?: string;
  /** Of `error`: false where it is about what was sent, and the run goes on. */
  fatal?: boolean;
  /** Of `progress`: from 0 to 1, of its time limit. */
  progress?: number;
  message?: string;
  /** Of `progress`: whether the run, an interactive one, goes on only with its next line of input, or its end. */
  wantsInput?: boolean;
  /** Of `dropped`: how much of the output was left out, since it was read too slowly. */
  bytes?: number;
  /** Of the last one: the run's. */
  status?: string;
  durationMs?: number;
  snapshotId?: string | null;
}

export interface Progress {
  /** From 0 to 1, of its time limit. */
  progress: number;
  /** The same, from 0 to 100. */
  percent: number;
  message: string;
  /** Whether the run, an interactive one, goes on only with its next line of input, or its end. */
  wantsInput: boolean;
}

export interface StreamListeners {
  output: (data: string, event: StreamEvent) => void;
  progress: (progress: Progress, event: StreamEvent) => void;
  dropped: (bytes: number, event: StreamEvent) => void;
  /** The run's end; `completed` is the same. */
  complete: (exitCode: number | null, event: StreamEvent) => void;
  completed: (exitCode: number | null, event: StreamEvent) => void;
  /** What ended the run or the stream; or, where the event's `fatal` is false, what was sent in vain. */
  error: (error: FaaSError, event?: StreamEvent) => void;
}

/**
 * The events of one run. `on` connects and tells what the run has said so far and what it says; so does each
 * `for await`, with a connection of its own. An error for which there is no listener is thrown where the
 * platform shows what nobody caught.
 */
export class ExecutionStream implements AsyncIterable<StreamEvent> {
  readonly executionId: string;
  readonly #api: RestApi;
  readonly #signal: AbortSignal | undefined;
  readonly #listeners = new Map<string, Set<(...values: never[]) => void>>();
  readonly #loops = new Set<Connection>();
  #connection: Promise<Connection> | undefined;

  /** Throws TypeError for what is no id. */
  constructor(api: RestApi, executionId: string, signal?: AbortSignal) {
    idPart(executionId);
    this.#api = api;
    this.executionId = executionId;
    this.#signal = signal;
  }

  /** Adds a listener; the first one connects. */
  on<Name extends keyof StreamListeners>(name: Name, listener: StreamListeners[Name]): this {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    void this.#connected().catch(() => undefined); // told to the listeners of `error`
    return this;
  }

  off<Name extends keyof StreamListeners>(name: Name, listener: StreamListeners[Name]): this {
    this.#listeners.get(name)?.delete(listener);
    return this;
  }

  /**
   * Gives an interactive run more of its stdin; with `end` no more will come. It takes whole lines: what follows
   * the last line feed waits for the rest of its line, or for the end. On a terminal it is typed as it is: Enter is
   * `\r`, Ctrl-C is `\x03`; the end is Ctrl-D there, and where the program waits once more, a hang-up. What is
   * refused comes as an `error` whose `fatal` is false, to the loop that reads this stream, or to the listeners.
   */
  async sendInput(data: string, { end = false }: { end?: boolean } = {}): Promise<void> {
    const connection = await this.#talking();
    for (const [piece, last] of pieces(data)) {
      connection.send({ type: "input", execution_id: this.executionId, data: piece, end: end && last });
    }
  }

  /** Tells an interactive run that its stdin has come to its end. */
  endInput(): Promise<void> {
    return this.sendInput("", { end: true });
  }

  /** Gives the run's terminal another size, once the program has what was typed before. Refused as input is. */
  async resize(cols: number, rows: number): Promise<void> {
    (await this.#talking()).send({ type: "resize", execution_id: this.executionId, cols, rows });
  }

  /** Closes the connection of `on`. The run goes on. */
  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    connection?.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamEvent> {
    const connection = await Connection.open(this.#api, this.executionId, this.#signal);
    this.#loops.add(connection);
    try {
      yield* connection.events();
    } finally {
      this.#loops.delete(connection);
      connection.close();
    }
  }

  /** The connection to send by: of `on`, else of a loop, else a new one. */
  async #talking(): Promise<Connection> {
    const [loop] = this.#loops;
    return this.#connection === undefined && loop !== undefined ? loop : await this.#connected();
  }

  #connected(): Promise<Connection> {
    if (this.#connection === undefined) {
      this.#connection = Connection.open(this.#api, this.executionId, this.#signal);
      void this.#tell(this.#connection);
    }
    return this.#connection;
  }

  async #tell(connecting: Promise<Connection>): Promise<void> {
    try {
      const connection = await connecting;
      for await (const event of connection.events()) this.#dispatch(event);
      connection.close();
    } catch (error) {
      this.#emit("error", error as FaaSError, undefined);
    }
  }

  #dispatch(event: StreamEvent): void {
    if (event.type === "output") this.#emit("output", event.data, event);
    else if (event.type === "dropped") this.#emit("dropped", event.bytes ?? 0, event);
    else if (event.type === "error") this.#emit("error", errorOfEvent(event), event);
    else if (event.type === "progress") {
      const { progress = 0, message = "", wantsInput = false } = event;
      this.#emit("progress", { progress, percent: progress * 100, message, wantsInput }, event);
    } else {
      this.#emit("complete", event.exitCode ?? null, event);
      this.#emit("completed", event.exitCode ?? null, event);
    }
  }

  #emit<Name extends keyof StreamListeners>(name: Name, ...values: Parameters<StreamListeners[Name]>): void {
    const listeners = [...(this.#listeners.get(name) ?? [])] as ((...values: unknown[]) => void)[];
    if (name === "error" && listeners.length === 0) listeners.push(raise);
    for (const listener of listeners) {
      try {
        listener(...values);
      } catch (error) {
        raise(error);
      }
    }
  }
}

/** One WebSocket that follows one run. */
class Connection {
  readonly #said: (StreamEvent | Error)[] = [];
  readonly #closed = new AbortController();
  #socket: WebSocket | undefined;
  #wake: () => void = () => undefined;

  static async open(api: RestApi, executionId: string, signal: AbortSignal | undefined): Promise<Connection> {
    const connection = new Connection();
    try {
      await openSocket(api, `/stream/${idPart(executionId)}`, (socket) => connection.#attach(socket), signal);
    } catch (error) {
      // A WebSocket that is refused does not say why; a question about the same run does.
      if (error instanceof ConnectionFailed) await api.call("GET", `/executions/${idPart(executionId)}`, {}, { signal });
      throw error;
    }
    const abort = (): void => connection.#add(signal?.reason);
    signal?.addEventListener("abort", abort, { signal: connection.#closed.signal });
    return connection;
  }

  /** To the end of the run. Throws NotFound, ConnectionFailed and the signal's reason. */
  async *events(): AsyncGenerator<StreamEvent> {
    for (;;) {
      const next = this.#said.shift();
      if (next === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if (next instanceof Error) throw next;
      else {
        yield next;
        if (next.type === "completed" || (next.type === "error" && next.fatal !== false)) return;
      }
    }
  }

  send(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }

  close(): void {
    this.#closed.abort();
    this.#socket?.close();
  }

  #attach(socket: WebSocket): void {
    this.#socket = socket;
    socket.addEventListener("message", (message) => this.#hear(message.data));
    socket.addEventListener("close", () => this.#add(new ConnectionFailed("the stream broke off")));
  }

  #hear(data: unknown): void {
    const event = eventOf(data);
    // what no run says: the service's own word on the request
    const refused = !(event instanceof Error) && event.type === "error" && event.fatal !== false && !event.status;
    this.#add(refused ? errorOfEvent(event) : event);
  }

  #add(said: StreamEvent | Error): void {
    this.#said.push(said);
    this.#wake();
  }
}

function eventOf(data: unknown): StreamEvent | Error {
  try {
    const message = parseJson(String(data));
    if (typeof message !== "object" || message === null || !("type" in message)) throw new TypeError("no event");
    return { data: "", ...camel(message) } as unknown as StreamEvent;
  } catch (error) {
    return new ConnectionFailed("the stream cannot be read: is this the API's address?", { cause: error });
  }
}

function errorOfEvent(event: StreamEvent): ApiError {
  return errorOf(event.code ?? "INTERNAL_ERROR", event.error ?? "the run failed", { details: { ...event } });
}

/** Text in parts that fit a message, none of which ends amid a character; and whether it is the last. */
function* pieces(text: string): Generator<[string, boolean]> {
  let begin = 0;
  do {
    let end = begin + PIECE_LENGTH;
    if ((text.codePointAt(end - 1) ?? 0) > 0xffff) end += 1;
    yield [text.slice(begin, end), end >= text.length];
    begin = end;
  } while (begin < text.length);
}

/** Where nobody listens, as an error that nobody caught. */
function raise(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
