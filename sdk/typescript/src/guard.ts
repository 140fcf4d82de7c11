/**
 * What is looked at before money leaves: every reason not to send a job, found out by reading.
 *
 * 1. `no_contract`: the address is a contract.
 * 2. `unknown_service`, `service_ended`: the service exists and is active.
 * 3. `service_expired`: its time is not over.
 * 4. `not_permitted`: this account may submit jobs to it.
 * 5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
 * 6. `foreign_asset`, `price_too_high`: only an event-driven service is paid per job, in the native token, its
 *    exact rate. Elsewhere jobs are free and Tangle *keeps* whatever is sent: nothing is.
 * 7. `insufficient_funds`: the account holds the price and the gas. (When the transaction is built.)
 *
 * Any of them throws SubmissionRefused with that word; nothing was sent then.
 */

import { hexToBytes, zeroAddress, type Hex } from "viem";

import {
  ACTIVE,
  APPROVE_WITH_PARAMETERS,
  DEFINITION,
  DEFINITION_0_10,
  EVENT_DRIVEN,
  GET_SERVICE_PAYMENT_ASSET,
  SERVICE_ACTIVATED,
  TANGLE,
} from "./abi.js";
import { sameBytes } from "./bytes.js";
import { topic, type Chain } from "./chain.js";
import { SubmissionRefused } from "./errors.js";
import { PARAMETERS } from "./operations.js";
import { EXECUTE_JOB } from "./payload.js";
import { encodeSchema } from "./tlv.js";

/** What a caller must know of a service. */
interface Service {
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
}

/** 1 to 6. The price of a job, in wei. Throws SubmissionRefused and ConnectionFailed. */
export async function checkSubmission(
  chain: Chain,
  serviceId: bigint,
  caller: Hex,
  maximumPriceWei: bigint | undefined,
  jobIndex: number = EXECUTE_JOB,
): Promise<bigint> {
  await requireContract(chain);
  const service = await requireOpenService(chain, serviceId);
  if (!(await chain.read(TANGLE, "isPermittedCaller", [serviceId, caller]))) {
    throw new SubmissionRefused(
      "not_permitted",
      `${caller} may not submit jobs to service ${serviceId}; its owner ${service.owner} can permit it`,
    );
  }
  await requireSchema(chain, service.blueprintId, jobIndex);
  return priceOf(chain, service, maximumPriceWei, jobIndex);
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
async function requireContract(chain: Chain): Promise<void> {
  const chainId = await chain.id();
  if (["0x", null].includes((await chain.call("eth_getCode", chain.tangle, "latest")) as string | null)) {
    throw new SubmissionRefused("no_contract", `there is no contract at ${chain.tangle} on chain ${chainId}`);
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
  return service;
}

/** 5. The job takes what this client encodes; an empty schema takes anything. */
async function requireSchema(chain: Chain, blueprintId: bigint, jobIndex: number): Promise<void> {
  const newer = await chain.routes(APPROVE_WITH_PARAMETERS);
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

/** 6. The exact rate of an event-driven service in the native token; 0 of any other. */
async function priceOf(chain: Chain, service: Service, maximum: bigint | undefined, jobIndex: number): Promise<bigint> {
  if (service.pricing !== EVENT_DRIVEN) return 0n;
  const price = await chain.read(TANGLE, "getJobEventRate", [service.blueprintId, jobIndex]);
  if (maximum !== undefined && price > maximum) {
    const message = `a job costs ${price} wei, over the ${maximum} that you allow`;
    throw new SubmissionRefused("price_too_high", message, { priceWei: price, maximumWei: maximum });
  }
  if (await chain.routes(GET_SERVICE_PAYMENT_ASSET)) {
    const asset = await chain.read(TANGLE, "getServicePaymentAsset", [service.serviceId]);
    if (asset !== zeroAddress) {
      const message = `the service is paid in token ${asset}; this client pays the native token only`;
      throw new SubmissionRefused("foreign_asset", message);
    }
  }
  return price;
}
