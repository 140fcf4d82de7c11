/** The receipt that an operator signs (EIP-712), and who signed it. */

import { bytesToHex, hexToBytes, recoverTypedDataAddress, type Hex } from "viem";

import { camel } from "./wire.js";

export const RECEIPT_VERSION = 3;

/** A receipt of a version that cannot be read here: it says nothing, right or wrong. */
export class UnknownVersion extends TypeError {}

/** Throws UnknownVersion for receipts from before or yet to come: their outcomes have another form. */
export function checkVersion(version: number): void {
  if (version === RECEIPT_VERSION) return;
  throw new UnknownVersion(`receipt version ${version} is not known here, ${RECEIPT_VERSION} is`);
}

/** A receipt as JSON has it: hashes and addresses as `0x…`. */
export interface Receipt {
  version: number;
  profile_id: string;
  snapshot: string;
  toolchain: string;
  job_digest: string;
  outcome_digest: string;
  state_root: string;
  virtual_ns: number | bigint;
  chain_id: number | bigint;
  tangle: string;
  service_id: number | bigint;
  call_id: number | bigint;
  operator: string;
}

/** Fields in order; the signed type has their names in camel case. */
export const RECEIPT_TYPES: Readonly<Record<keyof Receipt, string>> = {
  version: "uint16",
  profile_id: "bytes32",
  snapshot: "bytes32",
  toolchain: "bytes32",
  job_digest: "bytes32",
  outcome_digest: "bytes32",
  state_root: "bytes32",
  virtual_ns: "uint64",
  chain_id: "uint256",
  tangle: "address",
  service_id: "uint64",
  call_id: "uint64",
  operator: "address",
};

const FIELDS = Object.entries(camel(RECEIPT_TYPES)).map(([name, type]) => ({ name, type }));

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;

/** The address that signed, in lower case; undefined when the signature is not valid. */
export async function recoverSigner(receipt: Receipt, signature: Uint8Array): Promise<string | undefined> {
  const v = signature[64];
  if (signature.length !== 65 || (v !== 27 && v !== 28)) return undefined;
  if (BigInt(bytesToHex(signature.subarray(32, 64))) > HALF_ORDER) return undefined; // another spelling of a valid one
  const [tangle, operator] = [receipt.tangle.toLowerCase() as Hex, receipt.operator.toLowerCase()];
  try {
    const signer = await recoverTypedDataAddress({
      domain: {
        name: "FaaS Receipt",
        version: "3",
        chainId: BigInt(receipt.chain_id),
        verifyingContract: tangle,
      },
      types: { Receipt: FIELDS },
      primaryType: "Receipt",
      message: camel({ ...receipt, tangle, operator }),
      signature: bytesToHex(signature),
    });
    return signer.toLowerCase();
  } catch {
    return undefined; // no point of the curve
  }
}

/** Bytes of `0x…`. Throws TypeError for anything else. */
export function bytesOfHex(text: string): Uint8Array {
  if (!/^0x(?:[0-9a-f]{2})*$/i.test(text)) throw new TypeError(`'${text.slice(0, 80)}' is not 0x and bytes`);
  return hexToBytes(text as Hex);
}
