/**
 * Operators' signed quotes for jobs and services: as values, what of them is signed, and the calls that use them.
 *
 * What is signed and sent differs between ABI epochs of the protocol; a quote names its own. Whether one may be paid
 * is the business of `quote-guard`.
 */

import {
  bytesToHex,
  concat,
  encodeAbiParameters,
  encodeFunctionData,
  hexToBytes,
  keccak256,
  parseAbi,
  recoverAddress,
  stringToHex,
  toFunctionSelector,
  type Abi,
  type AbiFunction,
  type Hex,
} from "viem";

import { ConnectionFailed } from "./errors.js";

/** Tangle takes no smaller price but zero. */
export const LEAST_PRICE = 100n;

/** Tangle takes no quote that was made so many seconds ago. */
export const MAX_AGE_SECONDS = 3600n;

/** Who has signed a quote, for where. */
export interface Signed {
  /** Its address, in lower case. */
  operator: Hex;
  signature: Hex;
  chainId: bigint;
  /** The contract's address, in lower case. */
  tangle: Hex;
  /** Of the contract's ABI. */
  epoch: Epoch;
}

/** What an operator asks for one job. */
export interface JobQuote extends Signed {
  requester: Hex;
  serviceId: bigint;
  jobIndex: number;
  priceWei: bigint;
  /** Unix seconds, as `expiry`. */
  timestamp: bigint;
  expiry: bigint;
  confidentiality: number;
  /** Keccak-256 of the inputs. */
  inputsHash: Hex;
  /** The job's canonical payload. */
  inputs: Uint8Array;
}

/** How much of its stake an operator puts behind a service. */
export interface SecurityCommitment {
  /** 0 for the native asset, 1 for a token. */
  kind: number;
  token: Hex;
  exposureBps: number;
}

/** What it sets aside: kind 0 is processors, 1 MB of memory, 2 MB of storage, 3 MB of egress. */
export interface ResourceCommitment {
  kind: number;
  count: bigint;
}

/** What an operator asks for serving a new service. */
export interface ServiceQuote extends Signed {
  requester: Hex;
  blueprintId: bigint;
  /** Seconds. */
  ttl: bigint;
  /** Nothing where the service's jobs are paid one by one. */
  totalCostWei: bigint;
  timestamp: bigint;
  expiry: bigint;
  confidentiality: number;
  security: SecurityCommitment[];
  resources: ResourceCommitment[];
}

export type Epoch = keyof typeof EPOCHS;

const JOB = "uint64 serviceId,uint8 jobIndex,uint256 price,uint64 timestamp,uint64 expiry";
const SERVICE = "uint64 blueprintId,uint64 ttlBlocks,uint256 totalCost,uint64 timestamp,uint64 expiry,uint8 confidentiality";
const LISTS = "AssetSecurityCommitment[] securityCommitments,ResourceCommitment[] resourceCommitments";
const ASSET = "Asset(uint8 kind,address token)";
const SECURITY = "AssetSecurityCommitment(Asset asset,uint16 exposureBps)";
const RESOURCE = "ResourceCommitment(uint8 kind,uint64 count)";

/** What each epoch signs: a service's fields ahead of the two lists, and its parts in the order of the contract. */
const EPOCHS = {
  "0.10": { job: JOB, service: SERVICE, parts: SECURITY + ASSET + RESOURCE }, // EIP-712 would have them sorted
  "0.19": {
    job: `address requester,${JOB},uint8 confidentiality,bytes32 inputsHash`,
    service: `address requester,${SERVICE},uint8 operation,uint64 serviceId`,
    parts: ASSET + SECURITY + RESOURCE,
  },
} as const;

type Values = Record<string, unknown>;

/** The 32 bytes that an operator signs. */
export function jobQuoteDigest(quote: JobQuote): Hex {
  const fields = EPOCHS[quote.epoch].job;
  return digest(concat([hash(`JobQuoteDetails(${fields})`), words(fields, jobValues(quote))]), quote);
}

/** Likewise. */
export function serviceQuoteDigest(quote: ServiceQuote): Hex {
  const { service, parts } = EPOCHS[quote.epoch];
  const security = quote.security.map(({ kind, token, exposureBps }) => {
    const asset = keccak256(concat([hash(ASSET), words("uint8 kind,address token", { kind, token })]));
    return keccak256(concat([hash(SECURITY + ASSET), asset, words("uint16 exposureBps", { exposureBps })]));
  });
  const resources = quote.resources.map(({ kind, count }) =>
    keccak256(concat([hash(RESOURCE), words("uint8 kind,uint64 count", { kind, count })])),
  );
  const head = hash(`QuoteDetails(${service},${LISTS})${parts}`);
  const lists = [keccak256(concat(security)), keccak256(concat(resources))];
  return digest(concat([head, words(service, serviceValues(quote)), ...lists]), quote);
}

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** The address that signed a digest, in lower case; undefined when the signature is not valid. */
export async function signerOf(hash: Hex, signature: Hex): Promise<Hex | undefined> {
  if (signature.length !== 132 || BigInt(`0x${signature.slice(66, 130)}`) > HALF_ORDER) return undefined;
  try {
    return (await recoverAddress({ hash, signature })).toLowerCase() as Hex;
  } catch {
    return undefined;
  }
}

// -- calls

/** Of `submitJobFromQuote` in an epoch. */
export function submitJobSelector(epoch: Epoch): Hex {
  return toFunctionSelector(submitJobAbi(epoch)[0] as AbiFunction);
}

/** Of `createServiceFromQuotes` likewise. */
export function createServiceSelector(epoch: Epoch): Hex {
  return toFunctionSelector(createServiceAbi(epoch)[0] as AbiFunction);
}

/** Call data, to be sent with the sum of the prices. */
export function submitJobCall(quotes: readonly [JobQuote, ...JobQuote[]]): Hex {
  const [first] = quotes;
  const signed = quotes.map((quote) => ({ details: jobValues(quote), signature: quote.signature, operator: quote.operator }));
  const args = [first.serviceId, first.jobIndex, bytesToHex(first.inputs), signed];
  return encodeFunctionData({ abi: submitJobAbi(first.epoch), functionName: "submitJobFromQuote", args });
}

/** Call data, to be sent with the sum of the costs. */
export function createServiceCall(quotes: readonly [ServiceQuote, ...ServiceQuote[]], callers: readonly Hex[], config: Hex): Hex {
  const [first] = quotes;
  const signed = quotes.map((quote) => {
    const security = quote.security.map(({ kind, token, exposureBps }) => ({ asset: { kind, token }, exposureBps }));
    const details = { ...serviceValues(quote), securityCommitments: security, resourceCommitments: quote.resources };
    return { details, signature: quote.signature, operator: quote.operator };
  });
  const args = [first.blueprintId, signed, config, callers, first.ttl];
  return encodeFunctionData({ abi: createServiceAbi(first.epoch), functionName: "createServiceFromQuotes", args });
}

function submitJobAbi(epoch: Epoch): Abi {
  return parseAbi([
    "function submitJobFromQuote(uint64 serviceId, uint8 jobIndex, bytes inputs, Quote[] quotes) payable returns (uint64)",
    "struct Quote { Details details; bytes signature; address operator; }",
    `struct Details { ${EPOCHS[epoch].job.replaceAll(",", "; ")}; }`,
  ] as string[]);
}

function createServiceAbi(epoch: Epoch): Abi {
  const fields = `${EPOCHS[epoch].service},Security[] securityCommitments,Resource[] resourceCommitments`;
  return parseAbi([
    "function createServiceFromQuotes(uint64 blueprintId, Quote[] quotes, bytes config, address[] callers, uint64 ttl) payable returns (uint64)",
    "struct Quote { Details details; bytes signature; address operator; }",
    `struct Details { ${fields.replaceAll(",", "; ")}; }`,
    "struct Asset { uint8 kind; address token; }",
    "struct Security { Asset asset; uint16 exposureBps; }",
    "struct Resource { uint8 kind; uint64 count; }",
  ] as string[]);
}

// -- as JSON

/** What the API answered for a job with these inputs. Throws ConnectionFailed. */
export function jobQuoteFromJson(data: unknown, inputs: Uint8Array): JobQuote {
  return read("job", data, (terms, signed) => ({
    requester: address(terms["requester"]),
    serviceId: number(terms["service_id"]),
    jobIndex: Number(number(terms["job_index"])),
    priceWei: number(terms["price"]),
    timestamp: number(terms["timestamp"]),
    expiry: number(terms["expiry"]),
    confidentiality: Number(number(terms["confidentiality"])),
    inputsHash: hex(terms["inputs_hash"]),
    inputs,
    ...signed,
  }));
}

/** Likewise, for a service. */
export function serviceQuoteFromJson(data: unknown): ServiceQuote {
  return read("service", data, (terms, signed) => ({
    requester: address(terms["requester"]),
    blueprintId: number(terms["blueprint_id"]),
    ttl: number(terms["ttl"]),
    totalCostWei: number(terms["total_cost"]),
    timestamp: number(terms["timestamp"]),
    expiry: number(terms["expiry"]),
    confidentiality: Number(number(terms["confidentiality"])),
    security: (terms["security"] as Values[]).map((item) => ({
      kind: Number(number(item["kind"])),
      token: address(item["token"]),
      exposureBps: Number(number(item["exposure_bps"])),
    })),
    resources: (terms["resources"] as Values[]).map((item) => ({
      kind: Number(number(item["kind"])),
      count: number(item["count"]),
    })),
    ...signed,
  }));
}

function read<T>(what: string, data: unknown, make: (terms: Values, signed: Signed) => T): T {
  try {
    const whole = data as Values;
    const epoch = String(whole["epoch"]);
    if (!(epoch in EPOCHS)) throw new TypeError(`epoch ${epoch} is unknown`);
    return make(whole["quote"] as Values, {
      operator: address(whole["operator"]),
      signature: hex(whole["signature"]),
      chainId: number(whole["chain_id"]),
      tangle: address(whole["tangle"]),
      epoch: epoch as Epoch,
    });
  } catch (error) {
    throw new ConnectionFailed(`this is no quote for a ${what}: ${(error as Error).message}`, { cause: error });
  }
}

function number(value: unknown): bigint {
  if (!/^\d+$/.test(String(value)) || typeof value === "object") throw new TypeError(`${String(value)} is not a number from 0`);
  return BigInt(String(value));
}

function hex(value: unknown): Hex {
  if (!/^0x([0-9a-f]{2})*$/i.test(String(value))) throw new TypeError(`${String(value)} is not 0x and hexadecimal digits`);
  return bytesToHex(hexToBytes(value as Hex));
}

function address(value: unknown): Hex {
  const text = hex(value);
  if (text.length !== 42) throw new TypeError(`${text} is not an address`);
  return text;
}

// -- typed data

function jobValues(quote: JobQuote): Values {
  const { requester, serviceId, jobIndex, timestamp, expiry, confidentiality, inputsHash } = quote;
  return { requester, serviceId, jobIndex, price: quote.priceWei, timestamp, expiry, confidentiality, inputsHash };
}

function serviceValues(quote: ServiceQuote): Values {
  const { requester, blueprintId, timestamp, expiry, confidentiality } = quote;
  const isNew = { operation: 0, serviceId: 0n };
  return { requester, blueprintId, ttlBlocks: quote.ttl, totalCost: quote.totalCostWei, timestamp, expiry, confidentiality, ...isNew };
}

function words(fields: string, values: Values): Hex {
  const named = fields.split(",").map((field) => {
    const [type = "", name = ""] = field.split(" ");
    return { type, name };
  });
  return encodeAbiParameters(named, named.map(({ name }) => values[name]) as never);
}

function hash(text: string): Hex {
  return keccak256(stringToHex(text));
}

function digest(struct: Hex, { chainId, tangle }: Signed): Hex {
  const kind = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
  const place = words("uint256 chainId,address tangle", { chainId, tangle });
  const domain = keccak256(concat([hash(kind), hash("TangleQuote"), hash("1"), place]));
  return keccak256(concat(["0x1901", domain, keccak256(struct)]));
}
