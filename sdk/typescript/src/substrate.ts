/** Tangle's Substrate chain, as the client needs it: its Services pallet through polkadot.js, final blocks only. */

import { bytesToHex, hexToBytes, keccak256, type Hex } from "viem";

import { pause } from "./abort.js";
import { concatenated } from "./bytes.js";
import { ConnectionFailed, ResultTimeout, SubmissionRefused, TransactionFailed } from "./errors.js";
import { signExtrinsic, type Extrinsic } from "./extrinsic.js";
import type { CallInputs } from "./operations.js";
import type { Pair, Polkadot, RuntimeEvent } from "./polkadot.js";
import type { RestApi } from "./rest.js";
import type { CallStatus, SubmittedCall, TangleResult } from "./results.js";
import type { JobCall, Payment } from "./submission.js";
import { checkExtrinsic, checkService, fieldsOf, mayCall, operatorsOf, requireTangle } from "./substrate-guard.js";
import { SubstrateNode, type Block } from "./substrate-node.js";
import { firstPosted, postedOf, readPosted, readSubmitted, resultOf, type Posted } from "./substrate-results.js";
import type { Looked, TangleChain } from "./tangle-chain.js";
import type { OnProgress } from "./transactions.js";
import { verifyPosted, verifyReceiptFile, type Verification } from "./verification.js";

/** Milliseconds that an extrinsic may take to get into a final block. */
const INCLUSION_TIMEOUT = 240_000;

export interface SubstrateOptions {
  rpcUrl: string;
  /** 32 bytes as hexadecimal digits, or a mnemonic. */
  secret: string | undefined;
  keyType: "sr25519" | "ed25519";
  /** Milliseconds. */
  timeout: number;
  pollInterval: number;
}

export class SubstrateChain implements TangleChain {
  readonly #node: SubstrateNode;
  readonly #polkadot: Polkadot;
  readonly #options: SubstrateOptions;
  #pair: Pair | undefined;

  constructor(polkadot: Polkadot, options: SubstrateOptions) {
    this.#polkadot = polkadot;
    this.#options = options;
    this.#node = new SubstrateNode(polkadot, options.rpcUrl, options.timeout);
  }

  get signs(): boolean {
    return this.#options.secret !== undefined;
  }

  get caller(): Hex {
    return this.#pair === undefined ? "0x" : bytesToHex(this.#pair.publicKey);
  }

  use<T>(work: () => Promise<T>): Promise<T> {
    return this.#node.use(() => {
      this.#pair ??= this.#pairOf();
      return work();
    });
  }

  async findService(blueprintId: bigint): Promise<bigint> {
    requireTangle(this.#node);
    const head = await this.#node.finalised();
    const { services } = (await this.#node.state(head)).query;
    const keys = await services.serviceStatus.keys(blueprintId);
    const ids = keys.map((key) => key.args[1].toBigInt()).sort((left, right) => (left < right ? 1 : -1));
    for (const id of ids) {
      const service = await this.#node.stored(head, services.instances, id);
      if (service === undefined || operatorsOf(service).length === 0) continue;
      if (this.#pair === undefined || mayCall(service, this.caller)) return id;
    }
    const whom = this.#pair === undefined ? "" : ` that ${this.#pair.address} may use`;
    const message = `blueprint ${blueprintId} has no service with operators${whom} (${ids.length} stand)`;
    throw new SubmissionRefused("no_service", message);
  }

  checkInputs(inputs: CallInputs): void {
    fieldsOf(inputs);
  }

  requireQuotes(): never {
    throw new SubmissionRefused("no_quotes", "this chain has no quotes: jobs cost their fee only");
  }

  async createService(): Promise<never> {
    return this.requireQuotes();
  }

  async submit(
    serviceId: bigint,
    inputs: CallInputs,
    { quotes, valueWei }: Payment,
    progress: OnProgress,
    signal: AbortSignal | undefined,
  ): Promise<JobCall> {
    const pair = this.#pair;
    if (pair === undefined) throw new SubmissionRefused("no_key", "submitting a job takes a privateKey");
    if (quotes !== undefined) this.requireQuotes();
    if (valueWei !== undefined && valueWei !== 0n) {
      const message = "jobs on this chain cost their fee only: nothing can be sent along";
      throw new SubmissionRefused("wrong_value", message, { valueWei, priceWei: 0n });
    }
    progress("checking the service");
    const start = await this.#node.finalised();
    await checkService(this.#node, start, serviceId, inputs.jobIndex, this.caller, pair.address);
    const nonce = await this.#node.nextNonce(pair.address);
    const extrinsic = this.#signed(pair, serviceId, inputs, nonce, start);
    await checkExtrinsic(this.#node, start, this.caller, pair.address, extrinsic.encoded);
    signal?.throwIfAborted(); // from here on its fee may be paid
    progress("submitting the job, which costs its fee only");
    await this.#handIn(pair, extrinsic, false);
    const transactionHash = extrinsic.hash;
    progress(`waiting for a final block with extrinsic ${transactionHash}`);
    const { block, index } = await this.#included(pair, extrinsic, start, signal);
    const events = await this.#node.events(block);
    const own = events.filter(({ phase }) => phase.isApplyExtrinsic && phase.asApplyExtrinsic.toNumber() === index);
    const called = own.find(({ event }) => event.section === "services" && event.method === "JobCalled");
    if (called === undefined) throw this.#failure(own, transactionHash);
    const { payload } = inputs;
    const callId = called.event.data[2]?.toBigInt() ?? 0n;
    const digest = keccak256(payload);
    return { serviceId, callId, transactionHash, block: BigInt(block.number), priceWei: 0n, inputs: payload, jobDigest: digest };
  }

  submitted(serviceId: bigint, callId: bigint): Promise<SubmittedCall> {
    return readSubmitted(this.#node, serviceId, callId);
  }

  async firstResult(
    call: SubmittedCall,
    looked: Looked,
    endpoint: RestApi | undefined,
  ): Promise<TangleResult | undefined> {
    const head = await this.#node.finalised();
    const found = await firstPosted(this.#node, call, Math.max(looked.upTo + 1, Number(call.block)), head, () => true);
    looked.upTo = head.number;
    return found && resultOf(this.#node, call, found, endpoint);
  }

  async status(call: SubmittedCall, endpoint: RestApi | undefined): Promise<CallStatus> {
    const results: TangleResult[] = [];
    for (const posted of await postedOf(this.#node, call)) {
      results.push(await resultOf(this.#node, call, posted, endpoint));
    }
    const { serviceId, callId, caller, transactionHash } = call;
    return { serviceId, callId, caller, transactionHash, completed: results.length > 0, results };
  }

  async verify(call: SubmittedCall, result: TangleResult | undefined): Promise<Verification> {
    const head = await this.#node.finalised();
    const wanted = (posted: Posted): boolean => result === undefined || posted.transactionHash === result.transactionHash;
    const found = await firstPosted(this.#node, call, Number(call.block), head, wanted);
    if (found === undefined) {
      throw new ResultTimeout(`no final result of call ${call.callId} of service ${call.serviceId} by its operators yet`);
    }
    const evidence = { ...readPosted(this.#node, call, found), serves: true };
    return result === undefined ? verifyPosted(evidence) : verifyReceiptFile(result.receiptFile(), evidence);
  }

  /** The secret is in no error. */
  #pairOf(): Pair | undefined {
    const { secret, keyType } = this.#options;
    if (secret === undefined) return undefined;
    const keyring = new this.#polkadot.Keyring({ type: keyType });
    try {
      if (/\s/.test(secret.trim())) return keyring.addFromMnemonic(secret.trim());
      return keyring.addFromSeed(hexToBytes((secret.startsWith("0x") ? secret : `0x${secret}`) as Hex, { size: 32 }));
    } catch {
      throw new TypeError("privateKey is neither 32 bytes as hexadecimal digits nor a mnemonic");
    }
  }

  #signed(pair: Pair, serviceId: bigint, inputs: CallInputs, nonce: number, birth: Block): Extrinsic {
    const api = this.#node.api;
    const call = concatenated([
      api.tx.services?.call.callIndex ?? new Uint8Array(),
      api.createType("Compact<u64>", serviceId).toU8a(),
      api.createType("Compact<u8>", inputs.jobIndex).toU8a(),
      fieldsOf(inputs),
    ]);
    return signExtrinsic(api, pair, call, nonce, birth);
  }

  /** Also again: a node that restarts loses what waits in it. What it says then is not the last word. */
  async #handIn(pair: Pair, extrinsic: Extrinsic, again: boolean): Promise<void> {
    if ((await this.#node.nextNonce(pair.address)) > extrinsic.nonce) return; // it waits, or is in a block
    try {
      await this.#node.send("author_submitExtrinsic", extrinsic.encoded);
    } catch (error) {
      // Sent again after a lost answer, it may be there already: then all is well.
      if (again || (await this.#node.nextNonce(pair.address)) > extrinsic.nonce) return;
      throw new SubmissionRefused("rejected", `the node does not take the extrinsic: ${(error as Error).message}`);
    }
  }

  async #included(
    pair: Pair,
    extrinsic: Extrinsic,
    start: Block,
    signal: AbortSignal | undefined,
  ): Promise<{ block: Block; index: number }> {
    const { encoded, death } = extrinsic;
    const deadline = Date.now() + INCLUSION_TIMEOUT;
    const details = { transactionHash: extrinsic.hash, lastBlock: death - 1 };
    for (let looked = start.number; ; ) {
      const final = await this.#node.finalised();
      for (; looked < final.number; looked += 1) {
        const block = await this.#node.block(looked + 1);
        const index = (await this.#node.body(block)).indexOf(encoded);
        if (index >= 0) return { block, index };
      }
      if (final.number >= death) {
        const message = `extrinsic ${details.transactionHash} was in no block in its time and is void: submit the job again`;
        throw new TransactionFailed(message, { details });
      }
      if (Date.now() >= deadline) {
        const message = `extrinsic ${details.transactionHash} is in no final block yet; it may still get there`;
        throw new ResultTimeout(message, { details });
      }
      await this.#handIn(pair, extrinsic, true);
      await pause(this.#options.pollInterval, signal);
    }
  }

  #failure(events: readonly RuntimeEvent[], transactionHash: string): Error {
    const failed = events.find(({ event }) => event.section === "system" && event.method === "ExtrinsicFailed");
    if (failed === undefined) return new ConnectionFailed(`extrinsic ${transactionHash} made no call`);
    const reason = this.#node.reason(failed.event.data[0]);
    return new TransactionFailed(`Tangle did not take the job in extrinsic ${transactionHash}: ${reason}`, {
      details: { transactionHash, reason },
    });
  }
}
