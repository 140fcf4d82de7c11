/** The client of a FaaS service on Tangle. */

import { bytesToHex, sha256, type Hex, type LocalAccount } from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { pause } from "./abort.js";
import { bytesOf, randomHex, type Content } from "./bytes.js";
import { Chain, RpcError } from "./chain.js";
import { fromEnvironment } from "./environment.js";
import { ResultTimeout, SubmissionRefused } from "./errors.js";
import { EvmChain } from "./evm.js";
import { checked, check } from "./inputs.js";
import {
  branchInputs,
  mergeInputs,
  programInputs,
  restoreInputs,
  snapshotInputs,
  type CallInputs,
  type Fork,
  type MergeStrategy,
  type RunOptions,
} from "./operations.js";
import { LIMITS, type JobInputs } from "./payload.js";
import { loadPolkadot, type Polkadot } from "./polkadot.js";
import { several } from "./quote-guard.js";
import { jobQuoteFromJson, serviceQuoteFromJson, type JobQuote, type ServiceQuote } from "./quotes.js";
import { RestApi } from "./rest.js";
import { readOutputFile, TangleResult, type CallStatus, type SubmittedCall } from "./results.js";
import type { JobCall, NewService, Payment } from "./submission.js";
import { SubstrateChain } from "./substrate.js";
import type { TangleChain } from "./tangle-chain.js";
import type { OnProgress } from "./transactions.js";
import type { Verification } from "./verification.js";

/** Where Tangle stands on the local chain of `faas up`. */
export const DEVNET_TANGLE = "0xCf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9";

export interface TangleClientOptions {
  /** Of the chain's JSON-RPC: `http`, `https`, `ws` or `wss`. */
  rpcUrl: string;
  /** Which service; or `blueprintId`, to find the newest open one that the account may use. */
  serviceId?: number | bigint | undefined;
  blueprintId?: number | bigint | undefined;
  /** Whose account pays; needed to submit only. On a Substrate chain a seed or a mnemonic. Default: `FAAS_PRIVATE_KEY`. */
  privateKey?: string | undefined;
  /** What kind of key it is on a Substrate chain; default: `sr25519`. */
  keyType?: "sr25519" | "ed25519" | undefined;
  /** The same, as an account of viem that can sign; for EVM chains. */
  account?: LocalAccount | undefined;
  /** Tangle's address on an EVM chain. Default: `FAAS_TANGLE`, then where it stands on a local chain. */
  tangle?: string | undefined;
  /** An operator's API, asked for output that is too long to stand on-chain. */
  endpoint?: string | undefined;
  /** A key there: inputs that are too long for a chain are brought there. Default: `FAAS_API_KEY`. */
  apiKey?: string | undefined;
  /** Nothing over it is paid for a job. */
  maxPriceWei?: bigint | undefined;
  /** Milliseconds for a request. */
  timeout?: number | undefined;
  /** Milliseconds between two looks at the chain. */
  pollInterval?: number | undefined;
  /** Default: `evm` where there is a `tangle`; else the endpoint is asked what it is. */
  chain?: "evm" | "substrate" | undefined;
  /** Loads `@polkadot/api` for a Substrate chain; a bundle gives `() => import("@polkadot/api")`. */
  polkadot?: (() => Promise<unknown>) | undefined;
}

/** A program and everything that its run depends on. */
export interface JobRequest {
  code: string;
  language: string;
  stdin?: Content | undefined;
  arguments?: readonly string[] | undefined;
  envVars?: Record<string, string> | undefined;
  files?: Record<string, Content> | undefined;
  /** 64 bits; default: a random number. Equal jobs, seed and epoch included, have equal results. */
  seed?: number | bigint | undefined;
  /** Unix seconds; default: now. */
  epoch?: number | bigint | undefined;
  /** Virtual milliseconds. */
  timeoutMs?: number | undefined;
  memoryMb?: number | undefined;
  /** Keep the machine as a snapshot afterwards; it changes the run (no exit handlers). */
  keep?: boolean | undefined;
}

/** A job that is paid for by its rate; with `valueWei`, only if that is it. */
export type PricedRequest = JobRequest & RunOptions & { valueWei?: bigint | undefined };

/** A job that operators have quoted; several for the same one, and for their sum. */
export interface QuotedRequest {
  quote: JobQuote | readonly JobQuote[];
  valueWei?: bigint | undefined;
}

/** A service to be quoted, and what it may use where its jobs are free. */
export interface ServiceRequest {
  /** An hour to a year. */
  ttlSeconds: number | bigint;
  /** That run at once, each with a whole processor; default: 1. */
  machines?: number | undefined;
  /** Of each machine; default: 512. */
  memoryMb?: number | undefined;
  /** Of kept snapshots, at any time. */
  storageMb?: number | undefined;
  /** Of output, over the whole time. */
  egressMb?: number | undefined;
}

export interface ServiceOptions extends SubmitOptions {
  /** Who may submit jobs, besides the one who creates the service. */
  permittedCallers?: readonly string[] | undefined;
  /** Nothing over it is paid; default: 0, which is what a service costs whose jobs are paid one by one. */
  maxCostWei?: bigint | undefined;
  /** Of its stake, in ten-thousandths, that each operator puts behind it at least; default: 1000. */
  minExposureBps?: number | undefined;
}

export interface WaitOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds to wait for a result; default: 120,000. */
  timeout?: number | undefined;
  onProgress?: OnProgress | undefined;
}

export type SubmitOptions = Omit<WaitOptions, "timeout">;

/** A job: what `submitJob` gave, or the number of a call. */
export type JobReference = JobCall | number | bigint;

/** Submits jobs to a FaaS service on Tangle and reads their results. Holds no connection between calls. */
export class TangleFaaSClient {
  readonly #options: TangleClientOptions;
  readonly #tangle: Hex | undefined;
  readonly #key: string | undefined;
  readonly #blueprintId: bigint | undefined;
  readonly #endpoint: RestApi | undefined;
  readonly #pollInterval: number;
  #serviceId: bigint | undefined;
  #chain: Promise<TangleChain> | undefined;

  /** Throws TypeError for options that make no client. */
  constructor(options: TangleClientOptions) {
    if (!/^(https?|wss?):\/\//.test(options.rpcUrl)) {
      throw new TypeError(`rpcUrl must start with http://, https://, ws:// or wss://, got '${options.rpcUrl}'`);
    }
    if (options.serviceId === undefined && options.blueprintId === undefined) {
      throw new TypeError("name a serviceId, or a blueprintId to find one");
    }
    this.#options = options;
    const tangle = options.tangle ?? fromEnvironment("FAAS_TANGLE");
    this.#tangle = tangle === undefined ? undefined : address(tangle);
    this.#key = options.privateKey ?? fromEnvironment("FAAS_PRIVATE_KEY");
    if (this.#key !== undefined && !isMnemonic(this.#key)) accountOf(this.#key); // 32 bytes on either chain
    this.#serviceId = exact(options.serviceId);
    this.#blueprintId = exact(options.blueprintId);
    const { endpoint, apiKey } = options;
    this.#endpoint = endpoint === undefined ? undefined : new RestApi({ endpoint, apiKey, maxRetries: 1 });
    this.#pollInterval = options.pollInterval ?? 500;
  }

  /**
   * Sends a job and waits until it is in a block, on a Substrate chain until it is final. Throws SubmissionRefused
   * before anything is paid (see `guard` and `substrate-guard`), TransactionFailed, ResultTimeout, ConnectionFailed.
   * With `mode`, `snapshot` or `fork` it is job 1, and so are inputs over 16 KiB where there is an endpoint with a key:
   * larger parts are uploaded, and go by their hash. From a `quote` of `getQuote` it is for the quoted price.
   */
  async submitJob(request: PricedRequest | QuotedRequest, options: SubmitOptions = {}): Promise<JobCall> {
    const { valueWei } = request;
    if ("quote" in request) {
      const quotes = several([request.quote].flat() as JobQuote[]);
      const [{ jobIndex, inputs }] = quotes;
      return this.#submit({ jobIndex, payload: inputs, blobs: [] }, options, { quotes, valueWei });
    }
    return this.#submit(this.#program(request), options, { valueWei });
  }

  /**
   * What the operator at `endpoint` asks for a job, signed: for `submitJob({ quote })`, once, soon. Give `seed` and
   * `epoch` to have several operators' quotes for the same job. Throws SubmissionRefused without an endpoint or a key,
   * ApiError for what the operator does not quote, ConnectionFailed.
   */
  async getQuote(request: JobRequest & RunOptions, options: SubmitOptions = {}): Promise<JobQuote> {
    const made = this.#program(request);
    return this.#use(async (chain) => {
      const endpoint = this.#quoting(chain);
      const serviceId = await this.#service(chain);
      await this.#upload(made, options);
      const inputs = bytesToHex(made.payload);
      const body = { requester: chain.caller, service_id: serviceId, job_index: made.jobIndex, inputs };
      const { signal } = options;
      return jobQuoteFromJson(await endpoint.call("POST", "/quotes/jobs", { body }, { signal }), made.payload);
    });
  }

  /**
   * What the operator at `endpoint` asks for serving a new service: for `createService`. Where jobs are paid one by one
   * it is nothing; else it pays for so many machines of so much memory, storage and egress, over the whole time. Throws
   * as `getQuote`.
   */
  async getServiceQuote(request: ServiceRequest, options: SubmitOptions = {}): Promise<ServiceQuote> {
    return this.#use(async (chain) => {
      const { ttlSeconds, machines = 1, memoryMb = 512, storageMb = 0, egressMb = 0 } = request;
      const use = { machines, memory_mb: memoryMb, storage_mb: storageMb, egress_mb: egressMb };
      const body = { requester: chain.caller, ttl_seconds: ttlSeconds, ...use };
      const { signal } = options;
      return serviceQuoteFromJson(await this.#quoting(chain).call("POST", "/quotes/services", { body }, { signal }));
    });
  }

  /**
   * A service of the operators that have quoted, for exactly the sum of their costs. Throws SubmissionRefused before
   * anything is paid (see `quote-guard`), TransactionFailed, ResultTimeout, ConnectionFailed.
   */
  async createService(quotes: readonly ServiceQuote[], options: ServiceOptions = {}): Promise<NewService> {
    const { permittedCallers = [], maxCostWei = 0n, minExposureBps = 1000, onProgress = silent, signal } = options;
    const callers = permittedCallers.map(address);
    const order = { quotes: several(quotes), permittedCallers: callers, maximumWei: maxCostWei, leastExposureBps: minExposureBps };
    return this.#use((chain) => chain.createService(order, onProgress, signal));
  }

  /** Job 2: runs a program, on the base or a snapshot, and keeps its machine: the result's `stateRoot`. */
  async createSnapshot(request: JobRequest & Pick<RunOptions, "snapshot">, options: SubmitOptions = {}): Promise<JobCall> {
    const inputs = inputsOf(request);
    const made = checked(() => snapshotInputs(inputs, request.snapshot, this.#canUpload));
    check(inputs);
    return this.#submit(made, options);
  }

  /** Job 3: has the operators show that they hold a snapshot, by a run that they cannot foresee. */
  async restoreSnapshot(snapshot: string, options: SubmitOptions & { challenge?: number | bigint } = {}): Promise<JobCall> {
    const challenge = options.challenge ?? BigInt(`0x${randomHex(8)}`);
    return this.#submit(
      checked(() => restoreInputs(snapshot, challenge)),
      options,
    );
  }

  /** Job 4: forks a snapshot; the fork is the result's `stateRoot`. */
  async createBranch(snapshot: string, fork: Fork = {}, options: SubmitOptions = {}): Promise<JobCall> {
    return this.#submit(
      checked(() => branchInputs(snapshot, fork)),
      options,
    );
  }

  /**
   * Job 5: merges the files of snapshots into the first one, against `base`: the result's `stateRoot`. Exit code 1 says
   * that there are conflicts; stdout lists them, and nothing is merged.
   */
  async mergeBranches(
    branches: readonly string[],
    merge: { base?: string; strategy?: MergeStrategy } = {},
    options: SubmitOptions = {},
  ): Promise<JobCall> {
    return this.#submit(
      checked(() => mergeInputs(branches, merge.base, merge.strategy ?? "three_way")),
      options,
    );
  }

  get #canUpload(): boolean {
    return this.#endpoint?.hasKey ?? false;
  }

  #program(request: JobRequest & RunOptions): CallInputs {
    const inputs = inputsOf(request);
    const made = checked(() => programInputs(inputs, request, this.#canUpload));
    check(inputs);
    return made;
  }

  async #submit(inputs: CallInputs, options: SubmitOptions, payment: Payment = {}): Promise<JobCall> {
    return this.#use(async (chain) => {
      if (!chain.signs) throw new SubmissionRefused("no_key", "submitting a job takes a privateKey");
      chain.checkInputs(inputs);
      await this.#upload(inputs, options);
      return chain.submit(await this.#service(chain), inputs, payment, options.onProgress ?? silent, options.signal);
    });
  }

  async #upload(inputs: CallInputs, options: SubmitOptions): Promise<void> {
    for (const blob of inputs.blobs) {
      options.onProgress?.(`uploading ${blob.length} bytes, which go by their hash`);
      await this.#endpoint?.put(`/blobs/${sha256(blob).slice(2)}`, blob, { signal: options.signal });
    }
  }

  #quoting(chain: TangleChain): RestApi {
    if (!chain.signs) throw new SubmissionRefused("no_key", "a quote is for an account: give its privateKey");
    chain.requireQuotes();
    if (this.#endpoint === undefined) {
      throw new SubmissionRefused("no_endpoint", "an operator is asked for a quote: give its endpoint");
    }
    return this.#endpoint;
  }

  /**
   * The result of a job: the first one, or where several operators must agree, the one that stands; on a Substrate
   * chain the first in a final block. Throws ResultTimeout and ResultUnreadable.
   */
  async waitForResult(job: JobReference, options: WaitOptions = {}): Promise<TangleResult> {
    const { timeout = 120_000, onProgress = silent, signal } = options;
    return this.#use(async (chain) => {
      const call = await this.#submitted(chain, job);
      const deadline = Date.now() + timeout;
      onProgress(`waiting for a result of call ${call.callId}`);
      for (const looked = { upTo: -1, answered: false }; ; ) {
        const result = await chain.firstResult(call, looked, this.#endpoint);
        if (result !== undefined) {
          onProgress(`result in transaction ${result.transactionHash}`);
          return result;
        }
        if (Date.now() >= deadline) {
          const { serviceId, callId } = call;
          const kind = looked.answered ? "agreement on the result" : "result";
          const message = `no ${kind} of call ${callId} of service ${serviceId} after ${timeout} ms`;
          throw new ResultTimeout(message, { details: { serviceId, callId } });
        }
        await pause(this.#pollInterval, signal);
      }
    });
  }

  /**
   * Checks a result against what the chain holds: signature, operator, job, place and digests; of a job or call,
   * its first result. It does not run the job again: `faas verify` does.
   */
  async verify(what: TangleResult | JobReference): Promise<Verification> {
    return this.#use(async (chain) => {
      const result = what instanceof TangleResult ? what : undefined;
      const { serviceId, callId } = result ?? (await this.#submitted(chain, what as JobReference));
      return chain.verify(await chain.submitted(serviceId, callId), result);
    });
  }

  /** A file that the job left in its output folder, from the operator's API, checked by its hash. */
  outputFile(result: TangleResult, path: string): Promise<Uint8Array> {
    return readOutputFile(result, path, this.#endpoint);
  }

  /** All that stands on-chain of a job. */
  async show(job: JobReference): Promise<CallStatus> {
    return this.#use(async (chain) => {
      const { serviceId, callId } = await this.#submitted(chain, job);
      return chain.status(await chain.submitted(serviceId, callId), this.#endpoint);
    });
  }

  /** The service that jobs go to. */
  findService(): Promise<bigint> {
    return this.#use((chain) => this.#service(chain));
  }

  async #service(chain: TangleChain): Promise<bigint> {
    // one of the two is there, or there were no client
    this.#serviceId ??= await chain.findService(this.#blueprintId as bigint);
    return this.#serviceId;
  }

  async #submitted(chain: TangleChain, job: JobReference): Promise<SubmittedCall> {
    if (typeof job !== "object") return chain.submitted(await this.#service(chain), BigInt(job));
    return { ...job, caller: chain.caller }; // Its own log is known; the caller is whoever sent it.
  }

  async #use<T>(work: (chain: TangleChain) => Promise<T>): Promise<T> {
    this.#chain ??= this.#connect();
    const chain = await this.#chain.catch((error: unknown) => {
      this.#chain = undefined;
      throw error;
    });
    return chain.use(() => work(chain));
  }

  /** The chain behind the endpoint. Throws SubstrateNotInstalled and ConnectionFailed. */
  async #connect(): Promise<TangleChain> {
    const { rpcUrl, timeout = 30_000, chain, account, maxPriceWei, keyType = "sr25519" } = this.#options;
    const evm = new Chain(rpcUrl, this.#tangle ?? address(DEVNET_TANGLE), timeout);
    if (chain === "substrate" || (chain === undefined && this.#tangle === undefined && (await isSubstrate(evm)))) {
      const polkadot = (await (this.#options.polkadot ?? loadPolkadot)()) as Polkadot;
      return new SubstrateChain(polkadot, { rpcUrl, secret: this.#key, keyType, timeout, pollInterval: this.#pollInterval });
    }
    const signer = account ?? (this.#key === undefined ? undefined : accountOf(this.#key));
    return new EvmChain(evm, signer, maxPriceWei, this.#pollInterval);
  }
}

/** Whether the endpoint answers as a Substrate node. Throws ConnectionFailed when it does not answer. */
function isSubstrate(chain: Chain): Promise<boolean> {
  return chain.use(async () => {
    try {
      const version = await chain.call("state_getRuntimeVersion");
      return typeof version === "object" && version !== null;
    } catch (error) {
      if (error instanceof RpcError) return false;
      throw error;
    }
  });
}

function isMnemonic(key: string): boolean {
  return /\s/.test(key.trim());
}

function inputsOf(request: JobRequest): JobInputs {
  const files = Object.entries(request.files ?? {}).map(([path, content]) => [path, contentOf(content, `files.${path}`)]);
  return {
    code: request.code,
    language: request.language,
    stdin: contentOf(request.stdin ?? "", "stdin"),
    arguments: request.arguments ?? [],
    envVars: request.envVars ?? {},
    files: Object.fromEntries(files) as Record<string, Uint8Array>,
    seed: request.seed ?? BigInt(`0x${randomHex(8)}`),
    epoch: request.epoch ?? Math.floor(Date.now() / 1000),
    limits: {
      ...LIMITS,
      timeout_ms: request.timeoutMs ?? LIMITS.timeout_ms,
      memory_mb: request.memoryMb ?? LIMITS.memory_mb,
    },
    keep: request.keep ?? false,
  };
}

/** Throws SubmissionRefused `invalid_inputs`. */
function contentOf(content: Content, what: string): Uint8Array {
  try {
    return bytesOf(content, what);
  } catch (error) {
    throw new SubmissionRefused("invalid_inputs", (error as Error).message);
  }
}

function address(text: string): Hex {
  if (!/^0x[0-9a-f]{40}$/i.test(text)) throw new TypeError(`'${text}' is not an address`);
  return text.toLowerCase() as Hex;
}

/** The key is in no error. */
function accountOf(key: string): LocalAccount {
  try {
    return privateKeyToAccount((key.startsWith("0x") ? key : `0x${key}`) as Hex);
  } catch {
    throw new TypeError("privateKey is not 32 bytes as hexadecimal digits");
  }
}

function exact(id: number | bigint | undefined): bigint | undefined {
  return id === undefined ? undefined : BigInt(id);
}

function silent(): void {}
