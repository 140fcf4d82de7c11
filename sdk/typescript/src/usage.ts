/** What an account has used, and what it costs. */

import type { RequestOptions } from "./abort.js";
import type { RestApi } from "./rest.js";
import { deepCamel, wireObject } from "./wire.js";

/** What a period came to. Costs and credits are in the account's currency. */
export interface UsageMetrics {
  periodStart: string;
  periodEnd: string;
  executions: {
    totalCount: number;
    successfulCount: number;
    failedCount: number;
    cpuSeconds: number;
    memoryGbSeconds: number;
    /** Number of executions by mode. */
    byMode: Record<string, number>;
  };
  storage: { snapshotsCreated: number; totalGbStored: number };
  network: { ingressGb: number; egressGb: number };
  costs: {
    computeCost: number;
    storageCost: number;
    networkCost: number;
    totalCost: number;
    creditsRemaining: number;
  };
}

/** How the account stands now. */
export interface CurrentUsage {
  currentBalance: number;
  pendingCharges: number;
  rateLimitRemaining: number;
  storageUsedBytes: number;
  activeExecutions: number;
}

/** A period; the service says what it is when it is left open. */
export interface Period {
  startDate?: Date | string | undefined;
  endDate?: Date | string | undefined;
}

/** `client.usage`. All throw ApiError and ConnectionFailed. */
export class Usage {
  readonly #api: RestApi;

  constructor(api: RestApi) {
    this.#api = api;
  }

  /** Usage of a period, in detail. */
  async getMetrics(period: Period = {}, options: RequestOptions = {}): Promise<UsageMetrics> {
    const query = { start_date: iso(period.startDate), end_date: iso(period.endDate) };
    return deepCamel(
      wireObject(await this.#api.call("GET", "/usage", { query }, options), "usage", "executions", "costs"),
    ) as unknown as UsageMetrics;
  }

  /** Balance, limits and what runs now. */
  async getCurrent(options: RequestOptions = {}): Promise<CurrentUsage> {
    const answer = await this.#api.call("GET", "/usage/current", {}, options);
    return deepCamel(wireObject(answer, "the current usage", "current_balance")) as unknown as CurrentUsage;
  }

  /** The price table in force, as the service words it. */
  async getPricing(options: RequestOptions = {}): Promise<Record<string, unknown>> {
    return wireObject(await this.#api.call("GET", "/pricing", {}, options), "a price table");
  }
}

function iso(date: Date | string | undefined): string | undefined {
  return date instanceof Date ? date.toISOString() : date;
}
