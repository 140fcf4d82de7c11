/**
 * What the client says to cases that a test has laid out on a chain, and to an operator's quotes there. Takes one JSON
 * argument, prints one JSON answer; is run by tests/sdk/test_traps.py and tests/sdk/test_quotes.py.
 */

import { hexToBytes, type Hex } from "viem";

import { FundsAtRisk, SubmissionRefused, TangleFaaSClient } from "../dist/esm/index.js";
import { parseJson } from "../dist/esm/json.js";
import {
  createServiceCall,
  jobQuoteDigest,
  jobQuoteFromJson,
  serviceQuoteDigest,
  serviceQuoteFromJson,
  signerOf,
  submitJobCall,
} from "../dist/esm/quotes.js";

interface Case {
  /** Of the client. */
  options: { serviceId: number; tangle?: string; maxPriceWei?: string };
  valueWei?: string;
  jobQuotes?: { inputs: Hex }[];
  serviceQuotes?: object[];
}

const PROGRAM = { code: "print(1)", language: "python" };
const { client: common, cases, quotes, digests } = parseJson(process.argv[2] ?? "") as {
  client: { rpcUrl: string; tangle: string; privateKey: string; endpoint?: string; serviceId: number };
  cases?: Record<string, Case>;
  /** Whether there is an operator to be asked for quotes. */
  quotes?: boolean;
  /** To be worked out, with the calls that use them. */
  digests?: { jobs: { inputs: Hex }[]; services: object[] };
};

function clientOf(options: object): TangleFaaSClient {
  return new TangleFaaSClient({ ...common, pollInterval: 20, ...options });
}

async function said(work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof SubmissionRefused)) throw error;
    const part = error.details["part"];
    const reason = part === undefined ? error.reason : `${error.reason} ${String(part)}`;
    return error instanceof FundsAtRisk ? `${reason}, at risk` : reason;
  }
}

function outcome({ options, valueWei, jobQuotes, serviceQuotes }: Case): Promise<string> {
  const { maxPriceWei, ...others } = options;
  const client = clientOf({ ...others, maxPriceWei: maxPriceWei === undefined ? undefined : BigInt(maxPriceWei) });
  const value = valueWei === undefined ? undefined : BigInt(valueWei);
  return said(async () => {
    if (serviceQuotes !== undefined) {
      const made = await client.createService(serviceQuotes.map(serviceQuoteFromJson), { maxCostWei: 10n ** 18n });
      return `service for ${made.costWei}`;
    }
    const request =
      jobQuotes === undefined
        ? { ...PROGRAM, valueWei: value }
        : { quote: jobQuotes.map((item) => jobQuoteFromJson(item, hexToBytes(item.inputs))), valueWei: value };
    return `job for ${(await client.submitJob(request)).priceWei}`;
  });
}

async function useQuotes(): Promise<Record<string, unknown>> {
  const client = clientOf({});
  const quote = await client.getQuote(PROGRAM);
  const job = await client.submitJob({ quote, valueWei: quote.priceWei });
  const next = await client.getQuote(PROGRAM);
  const service = await client.getServiceQuote({ ttlSeconds: 7200 + Math.floor(Math.random() * 1e6), storageMb: 5 });
  const made = await client.createService([service]);
  const there = clientOf({ serviceId: made.serviceId });
  return {
    signed: (await signerOf(jobQuoteDigest(quote), quote.signature)) === quote.operator,
    serviceSigned: (await signerOf(serviceQuoteDigest(service), service.signature)) === service.operator,
    paid: job.priceWei === quote.priceWei,
    again: await said(async () => String(await client.submitJob({ quote }))),
    cheaper: await said(async () => String(await client.submitJob({ quote: { ...next, priceWei: next.priceWei - 1n } }))),
    late: await said(async () => String(await client.submitJob({ quote: { ...next, expiry: 1n } }))),
    otherInputs: await said(async () => String(await client.submitJob({ quote: { ...next, inputs: new Uint8Array(1) } }))),
    elsewhere: await said(async () => String(await there.submitJob({ quote: next }))),
    twice: await said(async () => String(await client.submitJob({ quote: [next, next] }))),
    none: await said(async () => String(await client.submitJob({ quote: [] }))),
    frugal: await said(async () => String(await clientOf({ maxPriceWei: next.priceWei - 1n }).submitJob({ quote: next }))),
    otherValue: await said(async () => String(await client.submitJob({ quote: next, valueWei: next.priceWei + 1n }))),
    noEndpoint: await said(async () => String(await clientOf({ endpoint: undefined }).getQuote(PROGRAM))),
    serviceAgain: await said(async () => String(await client.createService([service]))),
    insecure: await said(async () => String(await client.createService([service], { minExposureBps: 1001 }))),
    free: made.costWei === 0n,
    there: (await there.submitJob(PROGRAM)).priceWei > 0n,
  };
}

/** Of each quote its digest and its call. */
function workedOut(): [Hex, Hex][] {
  const jobs = (digests?.jobs ?? []).map((item) => jobQuoteFromJson(item, hexToBytes(item.inputs)));
  const services = (digests?.services ?? []).map(serviceQuoteFromJson);
  return [
    ...jobs.map((quote): [Hex, Hex] => [jobQuoteDigest(quote), submitJobCall([quote])]),
    ...services.map((quote): [Hex, Hex] => [serviceQuoteDigest(quote), createServiceCall([quote], [quote.requester], "0xc0")]),
  ];
}

const answers: Record<string, unknown> = quotes ? await useQuotes() : {};
for (const [name, item] of Object.entries(cases ?? {})) answers[name] = await outcome(item);
console.log(JSON.stringify(digests === undefined ? answers : workedOut()));
