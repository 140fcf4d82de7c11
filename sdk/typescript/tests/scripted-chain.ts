/** An Ethereum endpoint that answers from its fields; remembers what was asked, and what was sent. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import {
  bytesToHex,
  decodeFunctionData,
  encodeAbiParameters,
  encodeFunctionResult,
  numberToHex,
  parseAbi,
  parseAbiParameters,
  zeroAddress,
  zeroHash,
  type Hex,
} from "viem";
import { privateKeyToAccount } from "viem/accounts";

import { APPROVE_WITH_PARAMETERS, BLUEPRINT, BLUEPRINT_0_10, GET_SERVICE_PAYMENT_ASSET, JOB_SUBMITTED, MANAGER, TANGLE } from "../dist/esm/abi.js";
import { topic } from "../dist/esm/chain.js";
import { PARAMETERS } from "../dist/esm/payload.js";
import { encodeSchema } from "../dist/esm/tlv.js";

export const CONTRACT: Hex = `0x${"cf".repeat(20)}`;
export const KEY: Hex = `0x${"01".repeat(32)}`;
export const NOW = 1_000_000n;

const CALLER = privateKeyToAccount(KEY).address;
export const OPERATOR: Hex = `0x${"0b".repeat(20)}`;
const VIEWS = [
  ...TANGLE,
  ...MANAGER,
  ...parseAbi([
    "function getBlueprintDefinition(uint64 blueprintId) view returns (bytes)",
    "function getBlueprint(uint64 blueprintId) view returns (bytes)",
  ]),
] as const;

export interface Script {
  code: Hex;
  createdAt: bigint;
  ttl: bigint;
  pricing: number;
  status: number;
  permitted: boolean;
  rate: bigint;
  /** Undefined: the epoch knows native payment only. */
  asset: Hex | undefined;
  schema: Hex;
  /** Whether the blueprint's definition has a metadataHash. */
  newer: boolean;
  jobs: number;
  operators: Hex[];
  manager: Hex;
  /** How many results the manager asks for; undefined: it does not say. */
  needed: number | undefined;
  /** Likewise, whether they must be aggregated. */
  aggregated: boolean | undefined;
  balance: bigint;
  /** Data of the revert that gas estimation meets. */
  revert: Hex | undefined;
  /** Refuses the transaction as spent; it has it nevertheless. */
  forgetful: "has it" | "has it not" | undefined;
  included: "mined" | "reverted" | "pending";
  substrate: boolean;
}

export const OPEN: Script = {
  code: "0x6000",
  createdAt: NOW - 100n,
  ttl: 0n,
  pricing: 2,
  status: 1,
  permitted: true,
  rate: 1000n,
  asset: undefined,
  schema: bytesToHex(encodeSchema(PARAMETERS)),
  newer: false,
  jobs: 1,
  operators: [OPERATOR],
  manager: zeroAddress,
  needed: 1,
  aggregated: false,
  balance: 10n ** 18n,
  revert: undefined,
  forgetful: undefined,
  included: "mined",
  substrate: false,
};

export interface ScriptedChain {
  url: string;
  methods: string[];
  /** Raw transactions. */
  sent: Hex[];
}

/** Closed after the test. */
export async function scriptedChain(context: TestContext, changes: Partial<Script> = {}): Promise<ScriptedChain> {
  const script = { ...OPEN, ...changes };
  const methods: string[] = [];
  const sent: Hex[] = [];
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => (body += String(part)));
    request.on("end", () => {
      const { id, method, params } = JSON.parse(body) as { id: number; method: string; params: unknown[] };
      methods.push(method);
      let reply: object;
      try {
        if (method === "eth_sendRawTransaction") sent.push(params[0] as Hex);
        reply = { result: answer(script, method, params) };
      } catch (error) {
        reply = { error };
      }
      response.end(JSON.stringify({ jsonrpc: "2.0", id, ...reply }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, methods, sent };
}

function answer(script: Script, method: string, params: unknown[]): unknown {
  if (script.substrate) throw { code: -32601, message: "Method not found" };
  switch (method) {
    case "eth_getCode":
      return script.code;
    case "eth_chainId":
      return numberToHex(31337);
    case "eth_getBlockByNumber":
      return { timestamp: numberToHex(NOW), baseFeePerGas: "0x10" };
    case "eth_maxPriorityFeePerGas":
      return "0x1";
    case "eth_getBalance":
      return numberToHex(script.balance);
    case "eth_getTransactionCount":
      return "0x0";
    case "eth_estimateGas":
      if (script.revert !== undefined) throw { code: 3, message: "execution reverted", data: script.revert };
      return numberToHex(100_000);
    case "eth_sendRawTransaction":
      if (script.forgetful !== undefined) throw { code: -32000, message: "nonce too low" };
      return zeroHash;
    case "eth_getTransactionByHash":
      return script.forgetful === "has it" ? { hash: params[0] } : null;
    case "eth_getTransactionReceipt":
      return script.included === "pending" ? null : receipt(script, params[0] as Hex);
    case "eth_call":
      return view(script, (params[0] as { data: Hex }).data);
    default:
      throw { code: -32000, message: `${method} must not be asked` };
  }
}

function receipt(script: Script, transactionHash: Hex): object {
  const topics = [JOB_SUBMITTED, topic(3n), topic(9n)];
  const log = { address: CONTRACT.toUpperCase().replace("0X", "0x"), topics, data: "0x", blockNumber: "0x5", transactionHash };
  return script.included === "mined" ? { status: "0x1", logs: [log] } : { status: "0x0", logs: [] };
}

function view(script: Script, data: Hex): Hex {
  const { functionName, args } = decodeFunctionData({ abi: VIEWS, data });
  if (functionName === "getBlueprintDefinition") return definition(script);
  if (functionName === "getBlueprint") return blueprint(script);
  const result = {
    getService: () => ({
      blueprintId: 7n,
      owner: CALLER,
      createdAt: script.createdAt,
      ttl: script.ttl,
      terminatedAt: 0n,
      lastPaymentAt: 0n,
      operatorCount: 1,
      minOperators: 1,
      maxOperators: 0,
      membership: 1,
      pricing: script.pricing,
      status: script.status,
      confidentiality: 0,
    }),
    isPermittedCaller: () => script.permitted,
    isServiceOperator: () => true,
    isOperatorRegistered: () => true,
    getServiceOperators: () => script.operators,
    getRequiredResultCount: () => told(script.needed),
    requiresAggregation: () => told(script.aggregated),
    getJobEventRate: () => script.rate,
    getServicePaymentAsset: () => script.asset,
    facetForSelector: () => (routes(script, String(args[0])) ? CONTRACT : zeroAddress),
    submitJob: () => undefined,
  }[functionName]();
  return encodeFunctionResult({ abi: VIEWS, functionName, result } as never);
}

/** A manager that does not say reverts. */
function told<T>(value: T | undefined): T {
  if (value === undefined) throw { code: 3, message: "execution reverted", data: "0x" };
  return value;
}

function blueprint(script: Script): Hex {
  const { manager, pricing, newer } = script;
  const result = { owner: CALLER, manager, createdAt: 1n, membership: 1, pricing, active: true };
  return newer
    ? encodeFunctionResult({ abi: BLUEPRINT, functionName: "getBlueprint", result })
    : encodeFunctionResult({ abi: BLUEPRINT_0_10, functionName: "getBlueprint", result: { ...result, operatorCount: 1 } });
}

function routes(script: Script, selector: string): boolean {
  return selector === GET_SERVICE_PAYMENT_ASSET ? script.asset !== undefined : selector === APPROVE_WITH_PARAMETERS && script.newer;
}

/** With what follows the jobs in a real definition, to prove that it need not be known. */
function definition(script: Script): Hex {
  const hash = script.newer ? "bytes32 metadataHash;" : "";
  const [types] = parseAbiParameters([
    "Definition definition",
    `struct Definition { string metadataUri; ${hash} address manager; uint32 revision; bool hasConfig; Config config; Metadata metadata; Job[] jobs; bytes registrationSchema; bytes requestSchema; uint8[] memberships; }`,
    "struct Config { uint8 membership; uint8 pricing; uint32 minOperators; uint32 maxOperators; uint256 subscriptionRate; uint64 subscriptionInterval; uint256 eventRate; }",
    "struct Metadata { string name; string description; string author; string category; string codeRepository; string logo; string website; string license; string profilingData; }",
    "struct Job { string name; string description; string metadataUri; bytes paramsSchema; bytes resultSchema; }",
  ]);
  const names = ["name", "description", "author", "category", "codeRepository", "logo", "website", "license", "profilingData"];
  const job = { name: "execute", description: "", metadataUri: "", paramsSchema: script.schema, resultSchema: "0x" };
  const value = {
    metadataUri: "urn:x",
    metadataHash: `0x${"01".repeat(32)}`,
    manager: CONTRACT,
    revision: 1,
    hasConfig: true,
    config: { membership: 1, pricing: script.pricing, minOperators: 1, maxOperators: 0, subscriptionRate: 0n, subscriptionInterval: 0n, eventRate: script.rate },
    metadata: Object.fromEntries(names.map((name) => [name, ""])),
    jobs: Array(script.jobs).fill(job),
    registrationSchema: "0x02",
    requestSchema: "0x02",
    memberships: [1],
  };
  return encodeAbiParameters([types] as never, [value] as never);
}
