// The balance, where to deposit, what things cost, and every move of credits.

import { code, element, facts, fail, notice, pager, section, table } from "./document.js";
import { ask } from "./session.js";
import { credits, nanocredits, time } from "./words.js";

export const title = "Credits";

const LIMIT = 20;
const PRICES = {
  vcpu_second: "A processor for a virtual second",
  memory_gib_second: "A GiB of memory for a virtual second",
  storage_gib_month: "A GiB of snapshots for 30 days",
  egress_gib: "A GiB of output",
};

export async function show(place, session) {
  const [current, pricing, deposits] = await Promise.all([
    session.get("/usage/current"), ask("GET", "/pricing"), depositing(session),
  ]);
  const ledger = element("div", { class: "list" });
  const told = notice();
  const load = async (offset) => {
    const page = await session.get("/usage/ledger", { limit: LIMIT, offset });
    ledger.replaceChildren(moves(page.entries), pager(page, (next) => load(next).catch((error) => fail(told, error))));
  };
  place.append(
    section("Balance", facts([
      ["Balance", current.current_balance === null ? "this node does not charge" : credits(current.current_balance)],
      ["Held for runs that go on", credits(current.pending_charges)],
      ["Unfinished runs", current.active_executions],
    ])),
    section("Deposit", deposits),
    section("Prices", prices(pricing)),
    section("Moves", told, ledger),
  );
  await load(0);
}

async function depositing(session) {
  let found;
  try {
    found = await session.get("/credits");
  } catch (error) {
    if (error.status !== 404) throw error;
    return element("p", { class: "empty" }, `No deposits here: ${error.message}.`);
  }
  return [
    element("p", {}, "Call ", code("deposit(account)"), " of the contract with the account below; the value that you send is what you deposit."),
    facts([
      ["Chain", String(found.chain_id)],
      ["Contract", code(found.contract)],
      ["Account", code(found.account_id)],
      ...Object.entries(found.units_per_credit).map(([token, units]) => [
        /^0x0{40}$/.test(token) ? "Smallest units of the native token for a credit" : `Units of ${token} for a credit`, units,
      ]),
    ]),
  ];
}

function prices({ table: prices, charged }) {
  return [
    facts(Object.entries(PRICES).map(([name, words]) => [words, nanocredits(prices[name])])),
    element("p", {}, `Price table ${prices.version}. ${charged ? "" : "This node does not charge; costs are shown by these prices."}`),
  ];
}

function moves(entries) {
  return table("Moves of credits", ["When", "Kind", "Account", "Amount", "Cause"], entries.map((line) => [
    time(line.created_at), line.kind.replaceAll("_", " "), line.account, nanocredits(line.nanocredits), code(line.cause),
  ]), "Nothing has moved.");
}
