/**
 * What is used of the optional package `@polkadot/api`, described here so that nobody needs it for the types alone;
 * and how it is loaded, when an endpoint turns out to be a Substrate node.
 */

import { SubstrateNotInstalled } from "./errors.js";

type Hex = `0x${string}`;

/** A value of the runtime. */
export interface Codec {
  toHex(): Hex;
  toU8a(): Uint8Array;
  toString(): string;
  toBigInt(): bigint;
  toNumber(): number;
}

export interface Maybe<T> {
  unwrap(): T;
}

export interface RuntimeEvent {
  event: { section: string; method: string; data: Codec[] & { names: string[] | null } };
  phase: { isApplyExtrinsic: boolean; asApplyExtrinsic: Codec };
}

export interface Service {
  blueprint: Codec;
  owner: Codec;
  permittedCallers: Codec[];
  operatorSecurityCommitments: [Codec, unknown][];
}

/** An item of storage. */
export type Item<K extends unknown[], V> = ((...keys: K) => Promise<V>) & { key(...keys: K): string };
type Id = bigint | string;

/** Storage by the runtime of one block. */
export interface State {
  query: {
    system: { events(): Promise<RuntimeEvent[]>; account(id: Hex): Promise<{ data: { free: Codec; frozen: Codec } }> };
    services: {
      instances: Item<[Id], Maybe<Service>>;
      blueprints: Item<[Id], Maybe<[Codec, { jobs: { params: Codec }[] }]>>;
      operators: Item<[Id, Hex], Maybe<{ key: Codec }>>;
      jobCalls: Item<[Id, Id], unknown>;
      jobResults: Item<[Id, Id], unknown>;
      serviceStatus: { keys(blueprint: Id): Promise<{ args: [Codec, Codec] }[]> };
    };
  };
}

export interface Pair {
  publicKey: Uint8Array;
  address: string;
  type: "sr25519" | "ed25519";
  sign(message: Uint8Array): Uint8Array;
}

export interface Api {
  genesisHash: Codec;
  runtimeVersion: { specVersion: Codec; transactionVersion: Codec };
  at(hash: string): Promise<State>;
  tx: { services?: { call: { callIndex: Uint8Array } } };
  consts: {
    system: { blockLength: { max: { normal: Codec } } };
    balances: { existentialDeposit: Codec };
  };
  registry: { signedExtensions: string[]; findMetaError(error: unknown): { section: string; name: string } };
  createType(name: string, value: unknown): Codec;
  disconnect(): Promise<void>;
}

export interface Provider {
  send(method: string, params: unknown[]): Promise<unknown>;
  disconnect(): Promise<void>;
}

/** The package. */
export interface Polkadot {
  ApiPromise: { create(options: { provider: Provider; noInitWarn: boolean; throwOnConnect: boolean }): Promise<Api> };
  WsProvider: new (url: string, autoConnect: number, headers: object, timeout: number) => Provider;
  Keyring: new (options: { type: "sr25519" | "ed25519" }) => {
    addFromSeed(seed: Uint8Array): Pair;
    addFromMnemonic(mnemonic: string): Pair;
  };
}

// in a variable: bundles are made without it, and are given a loader where they want it
const PACKAGE = "@polkadot/api";

/** The package, if it is there. Throws SubstrateNotInstalled. */
export async function loadPolkadot(): Promise<Polkadot> {
  try {
    return (await import(/* @vite-ignore */ /* webpackIgnore: true */ PACKAGE)) as Polkadot;
  } catch (error) {
    throw new SubstrateNotInstalled(error);
  }
}
