/** One Tangle contract behind one Ethereum endpoint: reads, logs, transactions' raw requests. */

import {
  BaseError,
  createPublicClient,
  decodeErrorResult,
  decodeFunctionResult,
  encodeFunctionData,
  hexToBytes,
  http,
  numberToHex,
  padHex,
  RpcRequestError,
  webSocket,
  zeroAddress,
  type Abi,
  type ContractFunctionArgs,
  type ContractFunctionName,
  type ContractFunctionReturnType,
  type Hex,
} from "viem";

import { TANGLE } from "./abi.js";
import { ConnectionFailed, FaaSError, TangleError } from "./errors.js";

/** Blocks in one `eth_getLogs` where an endpoint refuses a longer range; most allow 10,000. */
const LOG_WINDOW = 9_000n;

const METHOD_NOT_FOUND = -32_601;

/** The endpoint answered with an error; `data` is a revert's. */
export class RpcError extends FaaSError {
  constructor(
    message: string,
    readonly number: number,
    readonly data: Hex | undefined,
  ) {
    super(message);
  }
}

/** An event as an endpoint reports it. */
export interface Log {
  address: string;
  topics: Hex[];
  data: Uint8Array;
  block: bigint;
  transactionHash: Hex;
}

type View<A extends Abi> = ContractFunctionName<A, "view">;

let opened = 0;

export class Chain {
  readonly #client: ReturnType<typeof createPublicClient>;
  readonly #transport: { getRpcClient?: () => Promise<{ close(): void }> };
  #uses = 0;

  constructor(
    readonly rpcUrl: string,
    /** Its address, in lower case. */
    readonly tangle: Hex,
    timeout: number,
  ) {
    opened += 1; // viem shares sockets that have one key; this one is closed by its only user
    const transport = /^wss?:/.test(rpcUrl)
      ? webSocket(rpcUrl, { timeout, key: `faas ${opened}`, reconnect: false, keepAlive: false })
      : http(rpcUrl, { timeout });
    this.#client = createPublicClient({ transport });
    this.#transport = this.#client.transport as { getRpcClient?: () => Promise<{ close(): void }> };
  }

  /** Carries out what needs the chain; a socket is closed when nobody does any more, so that a program can end. */
  async use<T>(work: () => Promise<T>): Promise<T> {
    this.#uses += 1;
    try {
      return await work();
    } finally {
      this.#uses -= 1;
      if (this.#uses === 0) await this.#close();
    }
  }

  /** The result. Throws ConnectionFailed, and RpcError when the endpoint says no. */
  async call(method: string, ...params: unknown[]): Promise<unknown> {
    try {
      return await this.#client.request({ method, params } as never);
    } catch (error) {
      throw translated(error, this.rpcUrl);
    }
  }

  /** A result that is a number in hexadecimal. */
  async number(method: string, ...params: unknown[]): Promise<bigint> {
    const value = await this.call(method, ...params);
    if (typeof value !== "string") throw new ConnectionFailed(`${this.rpcUrl} answered ${method} with ${String(value)}`);
    return BigInt(value);
  }

  /** Throws TangleError when the endpoint is none of an Ethereum chain. */
  async id(): Promise<bigint> {
    try {
      return await this.number("eth_chainId");
    } catch (error) {
      if (!(error instanceof RpcError) || error.number !== METHOD_NOT_FOUND) throw error;
      throw new TangleError(
        `${this.rpcUrl} knows no eth_chainId: is it a Substrate endpoint? ` +
          "Leave tangle and FAAS_TANGLE out for its Substrate side, or give its Ethereum JSON-RPC endpoint",
      );
    }
  }

  /** The value that a view gives. Throws ConnectionFailed when it cannot be read. */
  async read<A extends Abi, Name extends View<A>>(
    abi: A,
    functionName: Name,
    args: ContractFunctionArgs<A, "view", Name>,
    block: Hex | "latest" = "latest",
    contract: Hex = this.tangle,
  ): Promise<ContractFunctionReturnType<A, "view", Name>> {
    const described = { abi, functionName, args } as never;
    try {
      const data = await this.call("eth_call", { to: contract, data: encodeFunctionData(described) }, block);
      return decodeFunctionResult({ abi, functionName, data } as never) as never;
    } catch (error) {
      if (!(error instanceof RpcError || error instanceof BaseError)) throw error;
      throw new ConnectionFailed(
        `${contract} does not answer ${functionName}: ${shortMessage(error)}. Is it Tangle's address?`,
        { cause: error },
      );
    }
  }

  /** Whether Tangle routes a selector. */
  async routes(selector: Hex): Promise<boolean> {
    return (await this.read(TANGLE, "facetForSelector", [selector])) !== zeroAddress;
  }

  /** The newest block's time in Unix seconds, and its base fee where there is one. */
  async newestBlock(): Promise<{ timestamp: bigint; baseFee: bigint | undefined }> {
    const block = await this.call("eth_getBlockByNumber", "latest", false);
    if (typeof block !== "object" || block === null || !("timestamp" in block)) {
      throw new ConnectionFailed("the endpoint knows no newest block");
    }
    const baseFee = "baseFeePerGas" in block ? block.baseFeePerGas : undefined;
    return { timestamp: BigInt(String(block.timestamp)), baseFee: baseFee ? BigInt(String(baseFee)) : undefined };
  }

  /**
   * All logs from a block on, in chain order.
   *
   * An endpoint that refuses the range is asked in windows; with `newestFirst` the search then ends at the first
   * window, from the newest on, that holds any.
   */
  async logs(topics: (Hex | null)[], firstBlock: bigint, newestFirst = false): Promise<Log[]> {
    try {
      return await this.#logs(topics, firstBlock, "latest");
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const head = await this.number("eth_blockNumber");
      if (head - firstBlock <= LOG_WINDOW) throw error;
      return this.#windows(topics, firstBlock, head, newestFirst);
    }
  }

  async #windows(topics: (Hex | null)[], first: bigint, head: bigint, newestFirst: boolean): Promise<Log[]> {
    const starts: bigint[] = [];
    for (let start = first; start <= head; start += LOG_WINDOW) starts.push(start);
    const found: Log[] = [];
    for (const start of newestFirst ? starts.reverse() : starts) {
      found.push(...(await this.#logs(topics, start, numberToHex(start + LOG_WINDOW - 1n))));
      if (newestFirst && found.length > 0) break;
    }
    return found;
  }

  async #logs(topics: (Hex | null)[], first: bigint, last: Hex | "latest"): Promise<Log[]> {
    const query = { address: this.tangle, topics, fromBlock: numberToHex(first), toBlock: last };
    const result = await this.call("eth_getLogs", query);
    if (!Array.isArray(result)) throw new ConnectionFailed(`${this.rpcUrl} answered eth_getLogs with no list`);
    return result.map(logOf);
  }

  async #close(): Promise<void> {
    const client = await this.#transport.getRpcClient?.().catch(() => undefined);
    client?.close();
  }
}

/** A log of `eth_getLogs` or of a transaction's receipt. */
export function logOf(item: { address: string; topics: Hex[]; data: Hex; blockNumber: Hex; transactionHash: Hex }): Log {
  return {
    address: item.address.toLowerCase(),
    topics: item.topics,
    data: hexToBytes(item.data),
    block: BigInt(item.blockNumber),
    transactionHash: item.transactionHash,
  };
}

/** A number or address as a topic. */
export function topic(value: bigint | Hex): Hex {
  return padHex(typeof value === "bigint" ? numberToHex(value) : value, { size: 32 });
}

/** The contract's error by name, where it is known; else what the endpoint says. */
export function revertName(error: RpcError): string {
  try {
    return decodeErrorResult({ abi: TANGLE, data: error.data ?? "0x" }).errorName;
  } catch {
    return error.message;
  }
}

function translated(error: unknown, url: string): Error {
  const said = error instanceof BaseError ? error.walk((inner) => inner instanceof RpcRequestError) : null;
  if (said instanceof RpcRequestError) {
    const data = typeof said.data === "string" ? (said.data as Hex) : undefined;
    return new RpcError(said.details || said.shortMessage, said.code, data);
  }
  return new ConnectionFailed(`the chain's endpoint ${url} does not answer: ${shortMessage(error)}`, { cause: error });
}

function shortMessage(error: unknown): string {
  if (error instanceof BaseError) return error.details || error.shortMessage;
  return error instanceof Error ? error.message : String(error);
}
