/**
 * What is wrong with a job's inputs, before anyone is paid for saying so.
 *
 * An operator answers an invalid job with the result FAILED, and that is paid for like any other. These are the
 * operators' own rules; the chain's schema knows only the kinds of the fields.
 */

import { bytesOf } from "./bytes.js";
import { SubmissionRefused } from "./errors.js";
import { LIMITS, type JobInputs, type Limits } from "./payload.js";

/** The languages, and the name under which the code stands beside the files. */
const ENTRY_FILES: ReadonlyMap<string, string> = new Map([
  ["python", "main.py"],
  ["javascript", "main.js"],
  ["bash", "main.sh"],
  ["rust", "main.rs"],
  ["go", "main.go"],
  ["typescript", "main.ts"],
]);

/** The name of the compiled program beside them. */
const PROGRAM_FILES: ReadonlyMap<string, string> = new Map([
  ["rust", "main"],
  ["go", "main"],
  ["typescript", "main.js"],
]);

/** Where a program leaves files for its caller; there may be files below it, but none in its place. */
const OUTPUT_FOLDER = "output";

const MAX_CODE_BYTES = 4 << 20;
const MAX_INPUT_BYTES = 14 << 20;
const MIN_EPOCH = 86_400n;
const MAX_EPOCH = 4_102_444_800n;

export const LIMIT_RANGES: Readonly<Record<keyof Limits, readonly [number, number]>> = {
  timeout_ms: [1, 3_600_000],
  memory_mb: [16, 512],
  output_bytes: [0, 4 << 20],
  processes: [1, 256],
  disk_mb: [1, 128],
  cpu_millicores: [10, 1000],
};

/** What `make` gives; its TypeError as SubmissionRefused `invalid_inputs`. */
export function checked<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw new SubmissionRefused("invalid_inputs", (error as Error).message);
  }
}

/** Throws SubmissionRefused `invalid_inputs` with the first thing that operators refuse. */
export function check(inputs: JobInputs): void {
  for (const problem of problems(inputs)) throw new SubmissionRefused("invalid_inputs", problem);
}

/** Everything that operators refuse in inputs that can be encoded. */
function* problems(inputs: JobInputs): Generator<string> {
  if (!ENTRY_FILES.has(inputs.language)) {
    yield `language '${inputs.language}' is not served; choose one of: ${[...ENTRY_FILES.keys()].join(", ")}`;
  }
  for (const name of Object.keys(LIMITS) as (keyof Limits)[]) {
    const [low, high] = LIMIT_RANGES[name];
    if (inputs.limits[name] < low || inputs.limits[name] > high) yield `${name} must be from ${low} to ${high}`;
  }
  const epoch = BigInt(inputs.epoch);
  if (epoch < MIN_EPOCH || epoch > MAX_EPOCH) yield "epoch must lie from 1970-01-02 to 2100-01-01";
  const texts = [...inputs.arguments, ...Object.entries(inputs.envVars).flat()];
  if (texts.some((text) => text.includes("\0"))) yield "arguments and envVars must not hold NUL characters";
  if (Object.keys(inputs.envVars).some((name) => name === "" || name.includes("="))) {
    yield "names of envVars must not be empty or hold '='";
  }
  yield* pathProblems(inputs);
  const code = bytesOf(inputs.code).length;
  if (code > MAX_CODE_BYTES) yield `code is ${code} bytes, ${MAX_CODE_BYTES} at the most`;
  const sizes = [...texts, ...Object.entries(inputs.files).flat()].map((content) => bytesOf(content).length);
  const total = sizes.reduce((sum, size) => sum + size, code + inputs.stdin.length);
  if (total > MAX_INPUT_BYTES) yield `inputs are ${total} bytes, ${MAX_INPUT_BYTES} at the most`;
}

function* pathProblems(inputs: JobInputs): Generator<string> {
  const own = [ENTRY_FILES.get(inputs.language), PROGRAM_FILES.get(inputs.language)];
  const taken = new Set([...own, ...Object.keys(inputs.files)]);
  for (const path of Object.keys(inputs.files)) {
    const parts = path.split("/");
    if (parts.some((item) => item === "" || item === "." || item === "..")) {
      yield `file path '${path}' must be relative, without empty, '.' or '..' parts`;
    }
    if (path.includes("\0") || bytesOf(path).length > 1024 || parts.some((item) => bytesOf(item).length > 255)) {
      yield `file path '${path.slice(0, 80)}' is too long or holds a NUL`;
    }
    if (own.includes(path)) yield `'${path}' is the program's own name`;
    if (path === OUTPUT_FOLDER) yield `'${path}' is the folder of output files`;
    if (parts.some((_, index) => index > 0 && taken.has(parts.slice(0, index).join("/")))) {
      yield `'${path}' lies below another file`;
    }
  }
}
