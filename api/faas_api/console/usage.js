// What was used in a period: sums, a chart of its days, and each run.

import { choice, element, facts, form, labelled, section, table } from "./document.js";
import { chart } from "./chart.js";
import { bytes, credits, nanocredits, number, time } from "./words.js";

export const title = "Usage";

const DAY = 86_400_000;
const MOST = 1000;
const MOST_DAYS = 92;

const MEASURES = {
  cost: ["Cost by the price table", (line) => line.total_nanocredits, nanocredits],
  runs: ["Runs", () => 1, (count) => number(count)],
  time: ["Virtual seconds", (line) => line.virtual_ns / 1e9, (seconds) => `${number(seconds)} s`],
  output: ["Output", (line) => line.egress_bytes, bytes],
};

export async function show(place, session) {
  const today = Date.now();
  const from = element("input", { type: "date", name: "from", required: true, value: dayOf(today - 29 * DAY) });
  const to = element("input", { type: "date", name: "to", required: true, value: dayOf(today) });
  const result = element("div", {});
  const load = async () => {
    const days = daysOf(from.value, to.value);
    const query = { start_date: `${days[0]}T00:00:00Z`, end_date: `${dayOf(Date.parse(days.at(-1)) + DAY)}T00:00:00Z` };
    const [usage, lines] = await Promise.all([
      session.get("/usage", query), session.all("/usage/executions", "executions", query, MOST),
    ]);
    result.replaceChildren(sums(usage), byDay(days, lines), runs(lines.entries));
  };
  const period = form("Show", load, element("div", { class: "columns" }, labelled("From", from), labelled("To", to, "Days in UTC")));
  place.append(period, result);
  await load();
}

function dayOf(milliseconds) {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function daysOf(from, to) {
  const [first, last] = [Date.parse(from), Date.parse(to)];
  if (!(first <= last)) throw new Error("The first day must not be after the last.");
  const count = Math.round((last - first) / DAY) + 1;
  if (count > MOST_DAYS) throw new Error(`Choose ${MOST_DAYS} days at the most.`);
  return Array.from({ length: count }, (_, index) => dayOf(first + index * DAY));
}

function sums({ executions, storage, costs }) {
  return section("In this period", facts([
    ["Runs", number(executions.total_count)],
    ["Completed", number(executions.successful_count)],
    ["Failed, timed out, cancelled", number(executions.failed_count)],
    ["Processor", `${number(executions.cpu_seconds)} virtual seconds`],
    ["Snapshots made", number(storage.snapshots_created)],
    ["Charged for compute", credits(costs.compute_cost)],
    ["Charged for network", credits(costs.network_cost)],
    ["Charged for storage", credits(costs.storage_cost)],
    ["Charged in all", credits(costs.total_cost)],
    ["Balance", costs.credits_remaining === null ? "this node does not charge" : credits(costs.credits_remaining)],
  ]));
}

function byDay(days, { entries, total }) {
  const measure = choice(Object.entries(MEASURES).map(([name, [label]]) => [name, label]), { name: "measure" });
  const place = element("div", {});
  const draw = () => {
    const [label, valueOf, told] = MEASURES[measure.value];
    const sums = new Map(days.map((day) => [day, 0]));
    for (const line of entries) {
      const day = line.ended_at.slice(0, 10);
      sums.set(day, (sums.get(day) ?? 0) + valueOf(line));
    }
    place.replaceChildren(chart(label, days.map((day) => ({ day, value: sums.get(day) })), told));
  };
  measure.addEventListener("change", draw);
  draw();
  return section(
    "By day", labelled("Measure", measure),
    entries.length < total && element("p", {}, `Of the latest ${entries.length} of ${total} runs.`),
    place,
  );
}

function runs(entries) {
  return section("Runs", table("Runs", ["Run", "Ended", "Mode", "Virtual time", "Output", "Cost", "Charged"], entries.slice(0, 50).map((line) => [
    line.execution_id === null
      ? `call ${line.call?.call_id} of service ${line.call?.service_id}`
      : element("a", { href: `#/executions/${encodeURIComponent(line.execution_id)}` }, line.execution_id),
    time(line.ended_at),
    line.mode,
    `${number(line.virtual_ns / 1e6)} ms`,
    bytes(line.egress_bytes),
    nanocredits(line.total_nanocredits),
    nanocredits(line.charged_nanocredits),
  ]), "No runs in this period."), entries.length > 50 && element("p", {}, "The latest 50."));
}
