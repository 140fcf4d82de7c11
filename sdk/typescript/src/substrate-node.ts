/** A Substrate node through polkadot.js: blocks, storage and events. Connected only while somebody uses it. */

import type { Hex } from "viem";

import { ConnectionFailed } from "./errors.js";
import type { Api, Item, Maybe, Polkadot, Provider, RuntimeEvent, State } from "./polkadot.js";

export interface Block {
  number: number;
  hash: string;
}

export class SubstrateNode {
  readonly #polkadot: Polkadot;
  readonly #timeout: number;
  #uses = 0;
  #opened: Promise<{ api: Api; provider: Provider }> | undefined;
  #api: Api | undefined;
  #provider: Provider | undefined;

  constructor(
    polkadot: Polkadot,
    readonly rpcUrl: string,
    timeout: number,
  ) {
    this.#polkadot = polkadot;
    this.#timeout = timeout;
  }

  get api(): Api {
    if (this.#api === undefined) throw new Error("used while not connected");
    return this.#api;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    this.#uses += 1;
    try {
      this.#opened ??= this.#open();
      const { api, provider } = await this.#opened;
      this.#api = api;
      this.#provider = provider;
      return await work();
    } finally {
      this.#uses -= 1;
      if (this.#uses === 0) await this.#close();
    }
  }

  /** A method's result. Throws ConnectionFailed. */
  async send(method: string, ...params: unknown[]): Promise<unknown> {
    try {
      return await this.#provider?.send(method, params);
    } catch (error) {
      throw new ConnectionFailed(`${this.rpcUrl}: ${method}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** The newest block that stays. */
  async finalised(): Promise<Block> {
    const hash = String(await this.send("chain_getFinalizedHead"));
    const header = (await this.send("chain_getHeader", hash)) as { number: string };
    return { number: Number(header.number), hash };
  }

  /** The block of a number on the best chain. */
  async block(number: number): Promise<Block> {
    const hash = await this.send("chain_getBlockHash", number);
    if (typeof hash !== "string") throw new ConnectionFailed(`${this.rpcUrl} has no block ${number}`);
    return { number, hash };
  }

  /** A block's extrinsics. */
  async body(block: Block): Promise<Hex[]> {
    const found = (await this.send("chain_getBlock", block.hash)) as { block: { extrinsics: Hex[] } } | null;
    if (found === null) throw new ConnectionFailed(`${this.rpcUrl} does not know block ${block.hash}`);
    return found.block.extrinsics;
  }

  /** Storage by the runtime of a block. Throws ConnectionFailed when the node has forgotten it. */
  async state(block: Block): Promise<State> {
    return this.#reading(block, () => this.api.at(block.hash));
  }

  events(block: Block): Promise<RuntimeEvent[]> {
    return this.#reading(block, async () => (await this.api.at(block.hash)).query.system.events());
  }

  /** The bytes under a key at a block. */
  async raw(block: Block, key: string): Promise<Hex | null> {
    return this.#reading(block, async () => (await this.send("state_getStorage", key, block.hash)) as Hex | null);
  }

  /** What an item of this block's `state` holds. Asked first whether there is anything: polkadot.js makes a value of none. */
  async stored<K extends unknown[], V>(block: Block, item: Item<K, Maybe<V>>, ...keys: K): Promise<V | undefined> {
    if ((await this.raw(block, item.key(...keys))) === null) return undefined;
    return this.#reading(block, async () => (await item(...keys)).unwrap());
  }

  /** With what waits in the node. */
  async nextNonce(address: string): Promise<number> {
    return Number(await this.send("system_accountNextIndex", address));
  }

  /** `Pallet.Error`, or the dispatch error. */
  reason(error: unknown): string {
    const { isModule, asModule } = error as { isModule: boolean; asModule: unknown };
    if (!isModule) return String(error);
    const { section, name } = this.api.registry.findMetaError(asModule);
    return `${section}.${name}`;
  }

  async #reading<T>(block: Block, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      const message = `${this.rpcUrl} has no state of block ${block.number} any more: ask an archive node`;
      throw new ConnectionFailed(message, { cause: error });
    }
  }

  async #open(): Promise<{ api: Api; provider: Provider }> {
    const url = this.rpcUrl.replace(/^http/, "ws"); // nodes answer both on one port
    const provider = new this.#polkadot.WsProvider(url, 1_000, {}, this.#timeout);
    try {
      const api = await this.#polkadot.ApiPromise.create({ provider, noInitWarn: true, throwOnConnect: true });
      return { api, provider };
    } catch (error) {
      await provider.disconnect();
      throw new ConnectionFailed(`${this.rpcUrl} cannot be used: ${(error as Error).message}`, { cause: error });
    }
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = undefined;
    const { api } = (await opened?.catch(() => undefined)) ?? {};
    await api?.disconnect();
  }
}
