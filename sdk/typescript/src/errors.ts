/**
 * Every error that a client throws, in one tree.
 *
 *     FaaSError
 *     ├── ApiError                 the API answered with an error
 *     │   ├── InvalidRequest       400 INVALID_REQUEST
 *     │   ├── Unauthorized         401 UNAUTHORIZED
 *     │   ├── PaymentRequired      402 PAYMENT_REQUIRED
 *     │   ├── Forbidden            403 FORBIDDEN
 *     │   ├── NotFound             404 NOT_FOUND
 *     │   ├── ExecutionTimeout     408 EXECUTION_TIMEOUT, with `stdout` and `stderr`
 *     │   ├── RateLimitError       429 RATE_LIMIT_EXCEEDED, with `resetAt`
 *     │   ├── InsufficientResources 507 INSUFFICIENT_RESOURCES
 *     │   └── ServerError          everything else
 *     ├── ConnectionFailed         nothing answered, or what answered cannot be read
 *     │   └── RequestTimeout       nothing answered in time
 *     └── TangleError              of the chain
 *         ├── SubmissionRefused    this client would not send it; `reason` says why, nothing was paid
 *         │   └── FundsAtRisk      Tangle would have taken the money for nothing
 *         ├── TransactionFailed    it was sent and reverted
 *         ├── ResultTimeout        no result yet; the job is still there, wait again
 *         └── ResultUnreadable     what was posted is not a result of this blueprint
 *
 * An aborted `signal` throws its own reason, as everywhere.
 */

export type Details = Readonly<Record<string, unknown>>;

export interface ErrorContext {
  code?: string;
  status?: number;
  details?: Details;
  cause?: unknown;
}

/** Base of all errors. */
export class FaaSError extends Error {
  /** The API's documented code, a refusal's reason, else empty. */
  readonly code: string;
  /** The HTTP status, 0 likewise. */
  readonly status: number;
  readonly details: Details;

  constructor(message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = new.target.name;
    this.code = context.code ?? "";
    this.status = context.status ?? 0;
    this.details = context.details ?? {};
  }
}

/** The API answered with an error. */
export class ApiError extends FaaSError {}

/** A field is missing, malformed or out of range; `details` names it. */
export class InvalidRequest extends ApiError {}

/** No API key, or one that is not valid. */
export class Unauthorized extends ApiError {}

/** The balance does not cover the request. */
export class PaymentRequired extends ApiError {}

/** The key may not do this. */
export class Forbidden extends ApiError {}

/** No such object. */
export class NotFound extends ApiError {}

/** The job used up its time. */
export class ExecutionTimeout extends ApiError {
  /** What it wrote until then, where the service says so. */
  get stdout(): string | undefined {
    return text(this.details["stdout"]);
  }

  get stderr(): string | undefined {
    return text(this.details["stderr"]);
  }
}

/** Too many requests. */
export class RateLimitError extends ApiError {
  /** When the limit is lifted, where the service says so. */
  get resetAt(): Date | undefined {
    const value = this.details["reset_at"];
    if (typeof value !== "number" && typeof value !== "string") return undefined;
    const date = new Date(typeof value === "number" ? value * 1000 : value);
    return Number.isNaN(date.getTime()) ? undefined : date;
  }
}

/** The service has no room at the moment. */
export class InsufficientResources extends ApiError {}

/** The service failed. */
export class ServerError extends ApiError {}

/** Nothing answered, or what answered cannot be read. */
export class ConnectionFailed extends FaaSError {}

/** Nothing answered in time. */
export class RequestTimeout extends ConnectionFailed {}

/** Of the chain. */
export class TangleError extends FaaSError {}

/** The endpoint is a Substrate node, and the optional package that it takes is not there. */
export class SubstrateNotInstalled extends FaaSError {
  constructor(cause?: unknown) {
    super("this endpoint is a Substrate node, which takes more than is installed: npm install @polkadot/api", { cause });
  }
}

/** This client would not send the job; nothing was paid. */
export class SubmissionRefused extends TangleError {
  constructor(
    /** A stable word, such as `not_permitted`, also its `code`; see `guard` and `quote-guard`. */
    readonly reason: string,
    message: string,
    details: Details = {},
  ) {
    super(message, { code: reason, details });
  }
}

/** Tangle would have taken the money, for nothing, and given none of it back. */
export class FundsAtRisk extends SubmissionRefused {}

/** The transaction was included and reverted. */
export class TransactionFailed extends TangleError {}

/** No result in time. The job is still on-chain: wait again. */
export class ResultTimeout extends TangleError {}

/** What was posted is not a result of this blueprint. */
export class ResultUnreadable extends TangleError {}

const BY_CODE: Readonly<Record<string, typeof ApiError>> = {
  INVALID_REQUEST: InvalidRequest,
  UNAUTHORIZED: Unauthorized,
  PAYMENT_REQUIRED: PaymentRequired,
  FORBIDDEN: Forbidden,
  NOT_FOUND: NotFound,
  EXECUTION_TIMEOUT: ExecutionTimeout,
  RATE_LIMIT_EXCEEDED: RateLimitError,
  INSUFFICIENT_RESOURCES: InsufficientResources,
};

const CODE_BY_STATUS: Readonly<Record<number, string>> = {
  400: "INVALID_REQUEST",
  401: "UNAUTHORIZED",
  402: "PAYMENT_REQUIRED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  408: "EXECUTION_TIMEOUT",
  413: "INVALID_REQUEST",
  422: "INVALID_REQUEST",
  429: "RATE_LIMIT_EXCEEDED",
  507: "INSUFFICIENT_RESOURCES",
};

/** The error that a code names; its status, where none is given, is the code's own. */
export function errorOf(code: string, message: string, context: ErrorContext = {}): ApiError {
  const kind = BY_CODE[code] ?? ServerError;
  const own = Object.entries(CODE_BY_STATUS).find(([, named]) => named === code)?.[0];
  return new kind(message, { status: Number(own ?? 500), ...context, code });
}

/** The error of a response `{"error": {code, message, details}}`; of any other body, by its status. */
export function apiError(status: number, body: unknown): ApiError {
  const error = record(record(body)["error"]);
  return errorOf(
    text(error["code"]) || CODE_BY_STATUS[status] || "INTERNAL_ERROR",
    text(error["message"]) ?? `the service answered with status ${status}`,
    { status, details: record(error["details"]) },
  );
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
