/**
 * Which of several operators' answers stands, as the blueprint's service manager counts them.
 *
 * By default the first answer that counts does. A service that asks for more makes a result final when so many
 * operators have given the same, or when nobody has challenged it in time.
 */

import { BaseError, concatBytes, hexToBytes, keccak256, numberToHex, zeroAddress, type Hex } from "viem";

import { APPROVE_WITH_PARAMETERS, DEFINITION, DEFINITION_0_10, SERVICE_MANAGER, TANGLE } from "./abi.js";
import { RpcError, type Chain, type Log } from "./chain.js";
import { ConnectionFailed, ResultUnreadable } from "./errors.js";
import { decodePosted, encodeOutcome, type PostedResult } from "./payload.js";

const UNKNOWN = 0;
const OPEN = 1;
const DISPUTED = 3;
const UNDECIDED = 5;

interface Counted {
  standing: number;
  /** Digest of the answer that stands, while one does. */
  agreement: Hex;
}

/**
 * The first of a call's results that is the answer that stands; undefined while none does. Where no service manager
 * of ours counts, the first one. Throws ResultUnreadable when the operators' answers differ for good, or when the
 * final one was not posted.
 */
export async function standingLog(
  chain: Chain,
  call: { serviceId: bigint; callId: bigint },
  logs: Log[],
  payloadOf: (log: Log) => Uint8Array,
): Promise<Log | undefined> {
  const { serviceId, callId } = call;
  if (logs.length === 0) return undefined;
  const counted = await countedOf(chain, serviceId, callId);
  if (counted === undefined || counted.standing === UNKNOWN) return logs[0];
  if (counted.standing === OPEN || counted.standing === DISPUTED) return undefined;
  const place = `call ${callId} of service ${serviceId}`;
  if (counted.standing === UNDECIDED) {
    throw new ResultUnreadable(`the operators' answers to ${place} differ, and none has won`);
  }
  const log = logs.find((item) => agreementOf(payloadOf(item)) === counted.agreement);
  if (log !== undefined) return log;
  const message = `the final answer to ${place} was brought as a receipt, not posted: ask an operator's API`;
  throw new ResultUnreadable(message);
}

/** Keccak-256 of what operators agree on: equal when two results say the same. */
export function agreementDigest(posted: PostedResult): Hex {
  return keccak256(
    concatBytes([
      posted.profileId,
      posted.snapshot,
      posted.toolchain,
      posted.jobDigest,
      hexToBytes(keccak256(encodeOutcome(posted.outcome))),
      posted.stateRoot,
      hexToBytes(numberToHex(posted.outcome.virtualNs, { size: 32 })),
    ]),
  );
}

async function countedOf(chain: Chain, serviceId: bigint, callId: bigint): Promise<Counted | undefined> {
  const manager = await managerOf(chain, serviceId);
  if (manager === zeroAddress) return undefined;
  try {
    const { standing, agreement } = await chain.read(SERVICE_MANAGER, "callOf", [serviceId, callId], "latest", manager);
    return { standing, agreement };
  } catch (error) {
    const cause = error instanceof ConnectionFailed ? error.cause : undefined;
    if (cause instanceof RpcError || cause instanceof BaseError) return undefined; // another blueprint's manager
    throw error;
  }
}

async function managerOf(chain: Chain, serviceId: bigint): Promise<Hex> {
  const { blueprintId } = await chain.read(TANGLE, "getService", [serviceId]);
  const { manager } = (await chain.routes(APPROVE_WITH_PARAMETERS))
    ? await chain.read(DEFINITION, "getBlueprintDefinition", [blueprintId])
    : await chain.read(DEFINITION_0_10, "getBlueprintDefinition", [blueprintId]);
  return manager;
}

function agreementOf(payload: Uint8Array): Hex | undefined {
  try {
    return agreementDigest(decodePosted(payload));
  } catch {
    return undefined;
  }
}
