/**
 * A signed extrinsic, version 4, from the bytes of a call: polkadot.js would make an object of each byte of a job.
 */

import { blake2b } from "@noble/hashes/blake2";
import { bytesToHex, hexToBytes, type Hex } from "viem";

import { concatenated } from "./bytes.js";
import { ConnectionFailed } from "./errors.js";
import type { Api, Pair } from "./polkadot.js";
import type { Block } from "./substrate-node.js";

/** For how many blocks an extrinsic may be included. */
export const ERA_BLOCKS = 64;

/** Extensions that add nothing to the extrinsic itself. */
const EMPTY = ["CheckNonZeroSender", "CheckWeight", "CheckNominatedRestaked", "CheckSpecVersion", "CheckTxVersion"];

export interface Extrinsic {
  encoded: Hex;
  hash: Hex;
  nonce: number;
  /** The first block that cannot hold it. */
  death: number;
}

/** Throws ConnectionFailed for a runtime with signed extensions that are not known here. */
export function signExtrinsic(api: Api, pair: Pair, call: Uint8Array, nonce: number, birth: Block): Extrinsic {
  const make = (type: string, value: unknown): Uint8Array => api.createType(type, value).toU8a();
  const extra: Uint8Array[] = [];
  const additional: Uint8Array[] = [];
  for (const name of api.registry.signedExtensions) {
    if (name === "CheckMortality" || name === "CheckEra") {
      extra.push(make("ExtrinsicEra", { current: birth.number, period: ERA_BLOCKS }));
      additional.push(hexToBytes(birth.hash as Hex));
    } else if (name === "CheckNonce") extra.push(make("Compact<u32>", nonce));
    else if (name === "ChargeTransactionPayment") extra.push(make("Compact<u128>", 0)); // no tip
    else if (name === "CheckMetadataHash") {
      extra.push(Uint8Array.of(0));
      additional.push(Uint8Array.of(0));
    } else if (name === "CheckSpecVersion") additional.push(api.runtimeVersion.specVersion.toU8a());
    else if (name === "CheckTxVersion") additional.push(api.runtimeVersion.transactionVersion.toU8a());
    else if (name === "CheckGenesis") additional.push(api.genesisHash.toU8a());
    else if (!EMPTY.includes(name)) throw new ConnectionFailed(`the runtime wants ${name} signed, which is not known here`);
  }
  const payload = concatenated([call, ...extra, ...additional]);
  const signature = pair.sign(payload.length > 256 ? blake2b(payload, { dkLen: 32 }) : payload);
  const kind = pair.type === "sr25519" ? 1 : 0;
  const head = [Uint8Array.of(0x84, 0), pair.publicKey, Uint8Array.of(kind), signature];
  const body = concatenated([...head, ...extra, call]);
  const encoded = concatenated([make("Compact<u32>", body.length), body]);
  return { encoded: bytesToHex(encoded), hash: hashOf(encoded), nonce, death: birth.number + ERA_BLOCKS };
}

/** Blake2b-256 of an extrinsic's bytes, as nodes name it. */
export function hashOf(encoded: Uint8Array): Hex {
  return bytesToHex(blake2b(encoded, { dkLen: 32 }));
}
