/**
 * What is looked at before money leaves: every reason not to send a job, found out by reading.
 *
 * 1. `no_contract`: the address is a contract. What is sent elsewhere is gone.
 * 2. `unknown_service`, `service_ended`: the service exists and is active.
 * 3. `service_expired`, `ends_soon`: its time is not over, and lasts for an answer. Later ones are not taken, and a
 *    paid job that is not answered is not paid back.
 * 4. `not_permitted`: this account may submit jobs to it.
 * 5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
 * 6. `no_operator`, `too_few_operators`, `aggregated`: the operators that it has can complete a job, by plain results.
 *    The others stay open for ever, with the money.
 * 7. `foreign_asset`, `price_too_high`: only an event-driven service is paid per job, in the native token, its exact
 *    rate.
 * 8. `value_swallowed`, `wrong_value`: a value that the caller names is that price. Elsewhere than at an event-driven
 *    service jobs are free, and Tangle *keeps* whatever is sent.
 * 9. `insufficient_funds`: the account holds the price and the gas. (When the transaction is built.)
 *
 * Any of them throws SubmissionRefused with that word; nothing was sent then. Where Tangle would have taken the money
 * for nothing, it is FundsAtRisk.
 */

import { BaseError, decodeFunctionResult, encodeFunctionData, hexToBytes, zeroAddress, type Hex } from "viem";

import {
  ACTIVE,
  APPROVE_WITH_PARAMETERS,
  BLUEPRINT,
  BLUEPRINT_0_10,
  DEFINITION,
  DEFINITION_0_10,
  EVENT_DRIVEN,
  GET_SERVICE_PAYMENT_ASSET,
  MANAGER,
  SERVICE_ACTIVATED,
  TANGLE,
} from "./abi.js";
import { sameBytes } from "./bytes.js";
import { RpcError, topic, type Chain } from "./chain.js";
import { FundsAtRisk, SubmissionRefused } from "./errors.js";
import { PARAMETERS } from "./operations.js";
import { EXECUTE_JOB } from "./payload.js";
import { encodeSchema } from "./tlv.js";

/** What a caller must know of a service. */
export interface Service {
  serviceId: bigint;
  blueprintId: bigint;
  owner: Hex;
  /** Unix seconds; 0 when there is no such service. */
  createdAt: bigint;
  /** Seconds; 0 is for ever. */
  ttl: bigint;
  pricing: number;
  /** By status; time is another matter. */
  active: boolean;
  /** Whether it is to run in enclaves; part of quotes. */
  confidentiality: number;
}

/** A job that is paid so shortly before its service's end may not be answered in time. */
const LEAST_SECONDS_LEFT = 60n;

/** 1 to 8. The price of a job, in wei. Throws SubmissionRefused and ConnectionFailed. */
export async function checkSubmission(
  chain: Chain,
  serviceId: bigint,
  caller: Hex,
  maximumPriceWei: bigint | undefined,
  jobIndex: number = EXECUTE_JOB,
  valueWei?: bigint | undefined,
): Promise<bigint> {
  const service = await checkService(chain, serviceId, caller, jobIndex);
  await requireAnswers(chain, service, jobIndex, (await serviceOperators(chain, serviceId)).length);
  const price = await priceOf(chain, service, maximumPriceWei, jobIndex);
  requireValue(service, price, valueWei);
  return price;
}

/** 1 to 5. */
export async function checkService(chain: Chain, serviceId: bigint, caller: Hex, jobIndex: number): Promise<Service> {
  await requireContract(chain);
  const service = await requireOpenService(chain, serviceId);
  if (!(await chain.read(TANGLE, "isPermittedCaller", [serviceId, caller]))) {
    throw new SubmissionRefused(
      "not_permitted",
      `${caller} may not submit jobs to service ${serviceId}; its owner ${service.owner} can permit it`,
    );
  }
  await requireSchema(chain, service.blueprintId, jobIndex);
  return service;
}

/** Who serves, in lower case. */
export async function serviceOperators(chain: Chain, serviceId: bigint): Promise<Hex[]> {
  const operators = await chain.read(TANGLE, "getServiceOperators", [serviceId]);
  return operators.map((operator) => operator.toLowerCase() as Hex);
}

/** 6. So many operators may answer, and they are enough. */
export async function requireAnswers(chain: Chain, service: Service, jobIndex: number, answering: number): Promise<void> {
  const { serviceId, blueprintId } = service;
  if (answering === 0) throw new FundsAtRisk("no_operator", `no operator serves service ${serviceId}: nobody would answer`);
  const { manager } = await blueprintOf(chain, blueprintId);
  if (manager === zeroAddress) return;
  const needed = await hook(chain, manager, "getRequiredResultCount", [serviceId, jobIndex]);
  if (Number(needed ?? 1) > answering) {
    const message = `a job takes ${needed} equal results, and ${answering} operators may answer: it would stay open`;
    throw new FundsAtRisk("too_few_operators", message, { needed: Number(needed), answering });
  }
  const aggregated = await hook(chain, manager, "requiresAggregation", [serviceId, jobIndex]);
  if (aggregated === true || (aggregated === undefined && (await isNewer(chain)))) {
    const message = `service ${serviceId} takes no plain results of job ${jobIndex}, which is all that operators of this blueprint give`;
    throw new FundsAtRisk("aggregated", message);
  }
}

/** 8. */
export function requireValue(service: Service, priceWei: bigint, valueWei: bigint | undefined): void {
  if (valueWei === undefined || valueWei === priceWei) return;
  const details = { valueWei, priceWei };
  if (service.pricing !== EVENT_DRIVEN) {
    const message = `jobs of service ${service.serviceId} are free: Tangle would keep the ${valueWei} wei`;
    throw new FundsAtRisk("value_swallowed", message, details);
  }
  throw new SubmissionRefused("wrong_value", `the job costs exactly ${priceWei} wei, not ${valueWei}`, details);
}

/** A blueprint's pricing, and the address of its manager; zero when it has none. */
export async function blueprintOf(chain: Chain, blueprintId: bigint): Promise<{ pricing: number; manager: Hex }> {
  return (await isNewer(chain))
    ? chain.read(BLUEPRINT, "getBlueprint", [blueprintId])
    : chain.read(BLUEPRINT_0_10, "getBlueprint", [blueprintId]);
}

/** Whether the deployment is of an epoch since 0.11. */
function isNewer(chain: Chain): Promise<boolean> {
  return chain.routes(APPROVE_WITH_PARAMETERS);
}

/** What a manager answers; undefined when it reverts, which Tangle takes for its default. */
async function hook(
  chain: Chain,
  manager: Hex,
  functionName: "getRequiredResultCount" | "requiresAggregation",
  args: readonly [bigint, number],
): Promise<number | boolean | undefined> {
  const data = encodeFunctionData({ abi: MANAGER, functionName, args });
  try {
    const answer = (await chain.call("eth_call", { to: manager, data }, "latest")) as Hex;
    return decodeFunctionResult({ abi: MANAGER, functionName, data: answer });
  } catch (error) {
    if (error instanceof RpcError || error instanceof BaseError) return undefined;
    throw error;
  }
}

/**
 * The newest service of the blueprint that is open, and open to `caller` where one is given. Tangle has no view
 * for it, only the logs of activations. Throws SubmissionRefused `no_service`.
 */
export async function findService(chain: Chain, blueprintId: bigint, caller: Hex | undefined): Promise<bigint> {
  await requireContract(chain);
  const logs = await chain.logs([SERVICE_ACTIVATED, null, null, topic(blueprintId)], 0n);
  const now = (await chain.newestBlock()).timestamp;
  for (const log of logs.reverse()) {
    const serviceId = BigInt(log.topics[1] ?? 0);
    const service = await readService(chain, serviceId);
    if (!service.active || expired(service, now)) continue;
    if (caller === undefined || (await chain.read(TANGLE, "isPermittedCaller", [serviceId, caller]))) return serviceId;
  }
  const whom = caller === undefined ? "" : ` that ${caller} may use`;
  const message = `blueprint ${blueprintId} has no open service${whom} (${logs.length} were ever activated)`;
  throw new SubmissionRefused("no_service", message);
}

async function readService(chain: Chain, serviceId: bigint): Promise<Service> {
  const stored = await chain.read(TANGLE, "getService", [serviceId]);
  return { ...stored, serviceId, active: stored.status === ACTIVE };
}

function expired(service: Service, now: bigint): boolean {
  return service.ttl !== 0n && now > service.createdAt + service.ttl;
}

/** 1. The address is a contract. */
export async function requireContract(chain: Chain): Promise<void> {
  const chainId = await chain.id();
  if (["0x", null].includes((await chain.call("eth_getCode", chain.tangle, "latest")) as string | null)) {
    throw new FundsAtRisk("no_contract", `there is no contract at ${chain.tangle} on chain ${chainId}`);
  }
}

/** 2 and 3. The service exists, is active, and its time is not over. */
async function requireOpenService(chain: Chain, serviceId: bigint): Promise<Service> {
  const service = await readService(chain, serviceId);
  if (service.createdAt === 0n) throw new SubmissionRefused("unknown_service", `there is no service ${serviceId}`);
  if (!service.active) throw new SubmissionRefused("service_ended", `service ${serviceId} is terminated`);
  const now = (await chain.newestBlock()).timestamp;
  if (expired(service, now)) {
    const end = service.createdAt + service.ttl;
    const message = `service ${serviceId} expired ${now - end} seconds ago`;
    throw new SubmissionRefused("service_expired", message, { expiredAt: end });
  }
  const left = service.createdAt + service.ttl - now;
  if (service.ttl !== 0n && left < LEAST_SECONDS_LEFT) {
    const message = `service ${serviceId} ends in ${left} seconds: an answer after that is not taken`;
    throw new FundsAtRisk("ends_soon", message, { secondsLeft: left });
  }
  return service;
}

/** 5. The job takes what this client encodes; an empty schema takes anything. */
async function requireSchema(chain: Chain, blueprintId: bigint, jobIndex: number): Promise<void> {
  const newer = await isNewer(chain);
  const { jobs } = newer
    ? await chain.read(DEFINITION, "getBlueprintDefinition", [blueprintId])
    : await chain.read(DEFINITION_0_10, "getBlueprintDefinition", [blueprintId]);
  const job = jobs[jobIndex];
  const parameters = PARAMETERS[jobIndex];
  if (job === undefined || parameters === undefined) {
    throw new SubmissionRefused("schema_mismatch", `blueprint ${blueprintId} has no job ${jobIndex}`);
  }
  const schema = job.paramsSchema;
  if (schema !== "0x" && !sameBytes(hexToBytes(schema), encodeSchema(parameters))) {
    const message = `blueprint ${blueprintId} wants other inputs than this client makes; is it this blueprint?`;
    throw new SubmissionRefused("schema_mismatch", message, { schema });
  }
}

/** 7. The exact rate of an event-driven service in the native token; 0 of any other. */
async function priceOf(chain: Chain, service: Service, maximum: bigint | undefined, jobIndex: number): Promise<bigint> {
  if (service.pricing !== EVENT_DRIVEN) return 0n;
  const price = await chain.read(TANGLE, "getJobEventRate", [service.blueprintId, jobIndex]);
  if (maximum !== undefined && price > maximum) {
    const message = `a job costs ${price} wei, over the ${maximum} that you allow`;
    throw new SubmissionRefused("price_too_high", message, { priceWei: price, maximumWei: maximum });
  }
  await requireNative(chain, service.serviceId);
  return price;
}

/** 7. Tangle's routers before 0.19 know native payment only. */
export async function requireNative(chain: Chain, serviceId: bigint): Promise<void> {
  if (!(await chain.routes(GET_SERVICE_PAYMENT_ASSET))) return;
  const asset = await chain.read(TANGLE, "getServicePaymentAsset", [serviceId]);
  if (asset !== zeroAddress) {
    const message = `the service is paid in token ${asset}; this client pays the native token only`;
    throw new SubmissionRefused("foreign_asset", message);
  }
}
