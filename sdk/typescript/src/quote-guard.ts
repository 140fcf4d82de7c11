/**
 * What is looked at before a quote is paid: it is what was asked for, an operator has signed it, and Tangle gives
 * something for it.
 *
 * 1. `wrong_quote`: it is for this chain, contract and epoch, this service or blueprint, these inputs, this account;
 *    several are for the same, each of another operator.
 * 2. `bad_signature`: its operator has signed just that.
 * 3. `quote_expired`: it holds, and for long enough to get into a block.
 * 4. `not_an_operator`: the operator serves the service, or may serve it.
 * 5. `value_swallowed`: jobs are paid one by one. Elsewhere Tangle collects a quoted price, and pays nobody.
 *    `upfront_swallowed`: a new service whose jobs are paid one by one costs nothing. The older epoch takes what is
 *    quoted nevertheless, and every job is paid besides.
 * 6. `too_few_operators`: those who have quoted can complete the job: no others may answer.
 * 7. `unsecured`: each operator puts some of its stake behind the new service, and not over all of it. The contract
 *    does not look. `never_ends`, `ends_soon`: its time is between an hour and a year.
 * 8. `price_too_high`, `wrong_value`: the sum is within what the caller allows, and what they say that it is.
 *
 * Any of them throws SubmissionRefused with that word, FundsAtRisk where Tangle would have taken the money for
 * nothing; nothing was sent then. The checks of `guard` come before.
 */

import { keccak256, type Hex } from "viem";

import { EVENT_DRIVEN, TANGLE } from "./abi.js";
import { sameBytes } from "./bytes.js";
import type { Chain } from "./chain.js";
import { FundsAtRisk, SubmissionRefused } from "./errors.js";
import { blueprintOf, checkService, requireAnswers, requireContract, requireNative, requireValue, serviceOperators } from "./guard.js";
import {
  createServiceSelector,
  jobQuoteDigest,
  LEAST_PRICE,
  MAX_AGE_SECONDS,
  serviceQuoteDigest,
  signerOf,
  submitJobSelector,
  type JobQuote,
  type ServiceQuote,
  type Signed,
} from "./quotes.js";

/** A quote that holds for less may be void when it gets into a block. */
const LEAST_SECONDS = 5n;

/** Seconds of a service; the contract holds only requested ones to it. */
const LEAST_TTL = 3600n;
const MOST_TTL = 365n * 24n * 3600n;

const ALL_BPS = 10_000;

export type Several<T> = readonly [T, ...T[]];

/** At least one. Throws SubmissionRefused. */
export function several<T>(quotes: readonly T[]): Several<T> {
  const [first, ...others] = quotes;
  if (first === undefined) throw new SubmissionRefused("wrong_quote", "there is no quote");
  return [first, ...others];
}

/** The sum to pay. Throws SubmissionRefused and ConnectionFailed. */
export async function checkJobQuotes(
  chain: Chain,
  serviceId: bigint,
  caller: Hex,
  maximumWei: bigint | undefined,
  valueWei: bigint | undefined,
  quotes: Several<JobQuote>,
): Promise<bigint> {
  const [first] = quotes;
  const service = await checkService(chain, serviceId, caller, first.jobIndex);
  const now = (await chain.newestBlock()).timestamp;
  await requirePlace(chain, first, submitJobSelector(first.epoch));
  for (const quote of quotes) {
    requireSame("service", quote.serviceId, serviceId);
    requireSame("job", quote.jobIndex, first.jobIndex);
    requireSame("inputs", sameBytes(quote.inputs, first.inputs), true);
    requireSame("inputs", quote.inputsHash, keccak256(quote.inputs));
    requireSame("requester", quote.requester, caller);
    requireSame("confidentiality", quote.confidentiality, service.confidentiality);
    await requireSigned(quote, jobQuoteDigest(quote), now);
  }
  requireOneEach(quotes);
  const operators = await serviceOperators(chain, serviceId);
  for (const { operator } of quotes) {
    if (!operators.includes(operator)) {
      throw new SubmissionRefused("not_an_operator", `${operator} does not serve service ${serviceId}`);
    }
  }
  const priceWei = quotes.reduce((sum, quote) => sum + quote.priceWei, 0n);
  if (service.pricing !== EVENT_DRIVEN) {
    const message = `jobs of service ${serviceId} are not paid one by one: Tangle would keep the ${priceWei} wei`;
    throw new FundsAtRisk("value_swallowed", message, { priceWei });
  }
  await requireAnswers(chain, service, first.jobIndex, quotes.length);
  await requireNative(chain, serviceId);
  requirePrice(
    quotes.map((quote) => quote.priceWei),
    priceWei,
    maximumWei,
  );
  requireValue(service, priceWei, valueWei);
  return priceWei;
}

/** The sum to pay. Throws likewise. */
export async function checkServiceQuotes(
  chain: Chain,
  caller: Hex,
  quotes: Several<ServiceQuote>,
  maximumWei: bigint,
  leastExposureBps: number,
): Promise<bigint> {
  const [first] = quotes;
  await requireContract(chain);
  const now = (await chain.newestBlock()).timestamp;
  await requirePlace(chain, first, createServiceSelector(first.epoch));
  for (const quote of quotes) {
    requireSame("blueprint", quote.blueprintId, first.blueprintId);
    requireSame("ttl", quote.ttl, first.ttl);
    requireSame("requester", quote.requester, caller);
    await requireSigned(quote, serviceQuoteDigest(quote), now);
    const exposureBps = quote.security[0]?.exposureBps ?? ALL_BPS;
    if (exposureBps < leastExposureBps || exposureBps > ALL_BPS) {
      const message = `${quote.operator} puts ${exposureBps} of ${ALL_BPS} of its stake behind the service, ${leastExposureBps} at least is asked for`;
      throw new SubmissionRefused("unsecured", message, { exposureBps });
    }
  }
  requireOneEach(quotes);
  requireTime(first.ttl);
  for (const { operator } of quotes) {
    if (!(await chain.read(TANGLE, "isOperatorRegistered", [first.blueprintId, operator]))) {
      throw new SubmissionRefused("not_an_operator", `${operator} is not registered for blueprint ${first.blueprintId}`);
    }
  }
  const { pricing } = await blueprintOf(chain, first.blueprintId);
  const costWei = quotes.reduce((sum, quote) => sum + quote.totalCostWei, 0n);
  if (costWei > 0n && pricing === EVENT_DRIVEN) {
    const message = `services of blueprint ${first.blueprintId} cost nothing, as their jobs are paid one by one; ${costWei} wei are asked for`;
    throw new FundsAtRisk("upfront_swallowed", message, { costWei });
  }
  requirePrice(
    quotes.map((quote) => quote.totalCostWei),
    costWei,
    maximumWei,
  );
  return costWei;
}

/** 1. The contract knows quotes of this epoch. (All quotes of a call are of the first one's.) */
async function requirePlace(chain: Chain, quote: Signed, selector: Hex): Promise<void> {
  requireSame("chain", quote.chainId, await chain.id());
  requireSame("contract", quote.tangle, chain.tangle);
  if (!(await chain.routes(selector))) requireSame("epoch", quote.epoch, "another");
}

/** 2 and 3. */
async function requireSigned(quote: JobQuote | ServiceQuote, digest: Hex, now: bigint): Promise<void> {
  if ((await signerOf(digest, quote.signature)) !== quote.operator) {
    throw new SubmissionRefused("bad_signature", `${quote.operator} has not signed this quote`);
  }
  const oldest = quote.timestamp + MAX_AGE_SECONDS;
  const left = (quote.expiry < oldest ? quote.expiry : oldest) - now;
  if (left < LEAST_SECONDS) {
    throw new SubmissionRefused("quote_expired", `the quote holds for ${left < 0n ? 0n : left} seconds: ask for another`, { left });
  }
}

/** 1. The same place for all, another operator for each. */
function requireOneEach(quotes: readonly Signed[]): void {
  if (new Set(quotes.map((quote) => `${quote.chainId} ${quote.tangle} ${quote.epoch}`)).size > 1) {
    throw new SubmissionRefused("wrong_quote", "the quotes are for several deployments", { part: "contract" });
  }
  if (new Set(quotes.map((quote) => quote.operator)).size !== quotes.length) {
    throw new SubmissionRefused("wrong_quote", "two quotes are of the same operator", { part: "operator" });
  }
}

/** 7. Of the service. */
function requireTime(ttl: bigint): void {
  if (ttl >= LEAST_TTL && ttl <= MOST_TTL) return;
  const message = `a service from quotes lasts from ${LEAST_TTL} to ${MOST_TTL} seconds, not ${ttl}`;
  if (ttl === 0n || ttl > MOST_TTL) throw new SubmissionRefused("never_ends", message, { ttl });
  throw new FundsAtRisk("ends_soon", message, { ttl });
}

/** 8. */
function requirePrice(prices: readonly bigint[], total: bigint, maximum: bigint | undefined): void {
  if (maximum !== undefined && total > maximum) {
    const message = `${total} wei are quoted, over the ${maximum} that you allow`;
    throw new SubmissionRefused("price_too_high", message, { priceWei: total, maximumWei: maximum });
  }
  if (prices.some((price) => price > 0n && price < LEAST_PRICE)) {
    throw new SubmissionRefused("wrong_quote", `Tangle takes no price below ${LEAST_PRICE}`, { part: "price" });
  }
}

function requireSame(part: string, found: unknown, wanted: unknown): void {
  if (found === wanted) return;
  throw new SubmissionRefused("wrong_quote", `the quote is for another ${part}: ${String(found)}, not ${String(wanted)}`, { part });
}
