/** A run: what it is asked for with, and what is answered. */

import { bytesOf, toBase64, type Content } from "./bytes.js";
import { ConnectionFailed } from "./errors.js";
import { LIMIT_RANGES } from "./inputs.js";
import { checkPath, type OutputFile } from "./output-files.js";
import { LIMITS } from "./payload.js";
import { camel, snake, wireObject, type Camel, type Wire } from "./wire.js";

export type Mode = Wire["Mode"];
export type Language = "python" | "javascript" | "typescript" | "bash" | "rust" | "go";

/** What a run may use: `cpuCores`, `memoryMb`, `timeoutMs` (virtual), `gpuCount`. */
export type Resources = Partial<Camel<Wire["Resources"]>>;

/** A program and everything that its run depends on. */
export interface ExecuteRequest {
  code: string;
  language: Language | (string & {});
  /** Default: `ephemeral`, `persistent` where a session is named. */
  mode?: Mode | (string & {}) | undefined;
  resources?: Resources | undefined;
  envVars?: Record<string, string> | undefined;
  /** Path to content: text, an ArrayBuffer, or a view of one. Encoded for you. */
  files?: Record<string, Content> | undefined;
  stdin?: string | undefined;
  /**
   * In mode ephemeral, with `start`: stdin comes line by line, each line when the run can only go on with it. Its
   * stream says `wantsInput`, and `sendInput` answers.
   */
  interactive?: boolean | undefined;
  /**
   * The run is interactive, on a terminal of this size, by default 80 by 24: what it writes is all stdout, and what
   * is typed comes as it is, `stdin` first. `resize` changes the size.
   */
  terminal?: Partial<Wire["Terminal"]> | undefined;
  arguments?: readonly string[] | undefined;
  /** 64 bits; default: a random number. Equal seed and epoch give equal runs. */
  seed?: number | bigint | undefined;
  /** Unix seconds; default: now. */
  epoch?: number | bigint | undefined;
  /** Start on this snapshot. (Here and below, null is as good as nothing: answers have it.) */
  snapshotId?: string | null | undefined;
  /** Start on this branch's head. */
  branchId?: string | null | undefined;
  /** Of a persistent run: go on in this session. */
  session?: string | null | undefined;
  /** `exec_…` of your own choice. */
  executionId?: string | undefined;
}

/**
 * One run of one program. Any exit code is `completed`. Until it is over, as its status says, output and files are
 * empty: nobody knows them yet. `logs` has what it has written so far.
 */
export interface Execution extends Omit<Camel<Wire["Execution"]>, "stdout" | "stderr" | "files" | "filesTruncated"> {
  stdout: string;
  stderr: string;
  /** What it left in its output folder; `outputFile` fetches the bytes. */
  files: OutputFile[];
  /** Whether something there was left out. */
  filesTruncated: boolean;
}

/** A run that was asked for and not waited for; `execution` has the rest of it, once there is any. */
export type Begun = Omit<Execution, "stdout" | "stderr" | "files" | "filesTruncated">;

/** To wait for each virtual millisecond that a run may take: on a busy host it takes several. */
const WALL_MILLISECONDS = 10;

/** Milliseconds to wait for a run's end, by its own limit of virtual time, beside what any answer takes. */
export function patienceFor(request: ExecuteRequest): number {
  const [low, high] = LIMIT_RANGES.timeout_ms;
  const limit: unknown = request.resources?.timeoutMs;
  const milliseconds = Number.isSafeInteger(limit) ? (limit as number) : LIMITS.timeout_ms;
  return WALL_MILLISECONDS * Math.min(Math.max(milliseconds, low), high);
}

/** The request's body. Throws TypeError for what none can be made of. */
export function executeBody(request: ExecuteRequest): Record<string, unknown> {
  const { resources, files, mode, ...rest } = request;
  checkInteger(rest.seed, "seed");
  checkInteger(rest.epoch, "epoch");
  const encoded = Object.entries(files ?? {}).map(([path, content]) => [path, toBase64(bytesOf(content, `files.${path}`))]);
  return {
    ...snake(rest),
    mode: mode ?? (request.session == null ? "ephemeral" : "persistent"),
    ...(resources === undefined ? {} : { resources: snake(resources) }),
    ...(files === undefined ? {} : { files: Object.fromEntries(encoded) }),
  };
}

/** Another number than the caller means, or none, would be another run. */
function checkInteger(value: number | bigint | null | undefined, what: string): void {
  if (value == null || typeof value === "bigint" || Number.isSafeInteger(value)) return;
  throw new TypeError(`${what} must be an integer; over 2^53, a bigint`);
}

/** Throws ConnectionFailed when it is not an execution. */
export function executionOf(data: unknown): Execution {
  const wire = wireObject<Wire["Execution"]>(data, "an execution", "execution_id", "status");
  return {
    ...camel(wire),
    id: wire.id ?? wire.execution_id,
    stdout: wire.stdout ?? "",
    stderr: wire.stderr ?? "",
    files: (wire.files ?? []).map(outputFileOf),
    filesTruncated: wire.files_truncated === true,
  };
}

/** Throws likewise. */
export function begunOf(data: unknown): Begun {
  const { stdout, stderr, files, filesTruncated, ...begun } = executionOf(data);
  return begun;
}

function outputFileOf(data: unknown): OutputFile {
  const { path, size, sha256 } = wireObject<OutputFile>(data, "an output file", "path", "size", "sha256");
  if (typeof path !== "string" || typeof size !== "number" || typeof sha256 !== "string") {
    throw new ConnectionFailed("the answer's files cannot be read");
  }
  try {
    checkPath(path);
  } catch (error) {
    throw new ConnectionFailed(`the answer's files cannot be read: ${(error as Error).message}`, { cause: error });
  }
  return { path, size, sha256 };
}
