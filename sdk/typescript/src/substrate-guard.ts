/**
 * What is looked at before a fee is paid on a Substrate chain: every reason not to send a job.
 *
 * 1. `not_tangle`: the chain has the Services pallet.
 * 2. `unknown_service`: the service exists; one that has ended is taken away.
 * 3. `no_operator`: somebody serves it, or the job would stay there unanswered.
 * 4. `not_permitted`: this account may submit jobs to it.
 * 5. `schema_mismatch`: its blueprint's job takes the inputs that this client encodes.
 * 6. `too_large`: the pallet's bounds and a block hold the inputs.
 * 7. `insufficient_funds`: the account holds the fee, and stays alive. The pallet takes nothing for a job.
 *
 * Any of them throws SubmissionRefused with that word; nothing was sent then.
 */

import type { Hex } from "viem";

import { sameBytes } from "./bytes.js";
import { SubmissionRefused } from "./errors.js";
import { encodeTypes, toFields } from "./fields.js";
import { PARAMETERS, type CallInputs } from "./operations.js";
import type { Service } from "./polkadot.js";
import type { Block, SubstrateNode } from "./substrate-node.js";

const BY_HASH = "with an operator's endpoint and an apiKey there, large parts go by their hash";

/** 1. The chain has the Services pallet. */
export function requireTangle(node: SubstrateNode): void {
  if (node.api.tx.services === undefined) {
    throw new SubmissionRefused("not_tangle", `the chain at ${node.rpcUrl} has no Services pallet`);
  }
}

/** 1 to 5. */
export async function checkService(
  node: SubstrateNode,
  head: Block,
  serviceId: bigint,
  jobIndex: number,
  caller: Hex,
  address: string,
): Promise<void> {
  requireTangle(node);
  const { services } = (await node.state(head)).query;
  const service = await node.stored(head, services.instances, serviceId);
  if (service === undefined) {
    throw new SubmissionRefused("unknown_service", `there is no service ${serviceId}, or it has ended`);
  }
  if (operatorsOf(service).length === 0) {
    throw new SubmissionRefused("no_operator", `no operator serves service ${serviceId}: nobody would answer`);
  }
  if (!mayCall(service, caller)) {
    const message = `${address} may not submit jobs to service ${serviceId} of ${service.owner.toString()}, `;
    throw new SubmissionRefused("not_permitted", `${message}who named the callers when asking for it`);
  }
  const blueprintId = service.blueprint.toBigInt();
  const job = (await node.stored(head, services.blueprints, blueprintId))?.[1].jobs[jobIndex];
  if (job === undefined) {
    throw new SubmissionRefused("schema_mismatch", `blueprint ${blueprintId} has no job ${jobIndex}`);
  }
  if (!sameBytes(job.params.toU8a(), encodeTypes(PARAMETERS[jobIndex] ?? []))) {
    const message = `blueprint ${blueprintId} wants other inputs than this client makes; is it this blueprint?`;
    throw new SubmissionRefused("schema_mismatch", message);
  }
}

/** 6. The inputs as the pallet takes them. */
export function fieldsOf(inputs: CallInputs): Uint8Array {
  try {
    return toFields(PARAMETERS[inputs.jobIndex] ?? [], inputs.payload);
  } catch (error) {
    throw new SubmissionRefused("too_large", `the inputs do not fit: ${(error as Error).message}; ${BY_HASH}`);
  }
}

/** 6 and 7, of the whole extrinsic. */
export async function checkExtrinsic(
  node: SubstrateNode,
  head: Block,
  caller: Hex,
  address: string,
  encoded: Hex,
): Promise<void> {
  const { consts } = node.api;
  const bytes = (encoded.length - 2) / 2;
  const most = consts.system.blockLength.max.normal.toNumber();
  if (bytes > most) {
    const message = `the job takes ${bytes} bytes, a block holds ${most}; ${BY_HASH}`;
    throw new SubmissionRefused("too_large", message, { bytes, most });
  }
  const { data } = await (await node.state(head)).query.system.account(caller);
  const balance = data.free.toBigInt() - data.frozen.toBigInt();
  const told = (await node.send("payment_queryInfo", encoded, head.hash)) as { partialFee: string };
  const needed = BigInt(told.partialFee) + consts.balances.existentialDeposit.toBigInt();
  if (balance < needed) {
    const message = `${address} holds ${balance} of the smallest unit, ${needed} are needed for the fee`;
    throw new SubmissionRefused("insufficient_funds", message, { balance, needed });
  }
}

/** Who serves, by account id. */
export function operatorsOf(service: Service): Hex[] {
  return service.operatorSecurityCommitments.map(([account]) => account.toHex());
}

/** Whether the pallet takes the caller's jobs. */
export function mayCall(service: Service, caller: Hex): boolean {
  return [service.owner, ...service.permittedCallers].some((account) => account.toHex() === caller);
}
