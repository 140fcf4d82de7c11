// The account and its API keys: listed, made (and shown once), revoked.

import { action, announce, code, element, facts, fail, form, labelled, notice, pager, section, table } from "./document.js";
import { number, time } from "./words.js";

export const title = "Account and keys";
export const link = "Keys";

const LIMIT = 20;
const DAY_SECONDS = 86_400;

export async function show(place, session) {
  const { account } = session;
  place.append(section("Account", facts([
    ["Account", code(account.account_id)],
    ["Name", account.name || null],
    ["This key", code(account.key_id)],
    ["It may", account.scopes.join(", ")],
    ["Requests", `${number(account.limits.requests_per_minute)} a minute, ${number(account.limits.requests_per_hour)} an hour`],
    ["Runs at once", account.limits.concurrent_executions],
    ...account.addresses.map(({ network, address }) => [`Pays from (${network})`, code(address)]),
  ])));
  if (!session.may("keys")) {
    place.append(element("p", {}, "This key has no scope 'keys', so it shows no others."));
    return;
  }
  const list = element("div", { class: "list" });
  const told = notice();
  const load = async (offset) => {
    const page = await session.get("/keys", { limit: LIMIT, offset });
    list.replaceChildren(keyTable(session, page.keys, told, () => load(offset)), pager(page, (next) => load(next).catch((error) => fail(told, error))));
  };
  place.append(section("New key", creation(session, () => load(0))), section("Keys", told, list));
  await load(0);
}

function creation(session, made) {
  const name = element("input", { type: "text", name: "name", maxlength: "100", autocomplete: "off" });
  const days = element("input", { type: "number", name: "days", min: "1", max: "3650", step: "1", inputmode: "numeric" });
  const boxes = session.account.scopes.map((scope) => element(
    "input", { type: "checkbox", name: "scope", value: scope, id: `scope-${scope}`, checked: scope !== "admin" && scope !== "keys" },
  ));
  const once = element("div", { class: "once", role: "status" });
  const create = async () => {
    const created = await session.post("/keys", {
      name: name.value,
      scopes: boxes.filter((box) => box.checked).map((box) => box.value),
      expires_in_seconds: days.value ? Number(days.value) * DAY_SECONDS : null,
    });
    once.replaceChildren(shownOnce(created));
    name.value = "";
    await made();
  };
  return [
    form(
      "Make a key", create,
      labelled("Name", name),
      element(
        "fieldset", { class: "boxes" }, element("legend", {}, "It may"),
        boxes.map((box) => element("label", {}, box, ` ${box.value}`)),
      ),
      labelled("Days until it ends", days, "Empty: it does not end"),
    ),
    once,
  ];
}

function shownOnce({ api_key: key }) {
  const told = notice();
  return element(
    "div", { class: "good" },
    element("p", {}, element("strong", {}, "This is the key. It is shown this once; keep it now.")),
    element("p", {}, element("code", { class: "key" }, key)),
    element("div", { class: "actions" }, action("Copy", async () => {
      await navigator.clipboard.writeText(key);
      announce("Copied");
    }, { told })),
    told,
  );
}

function keyTable(session, keys, told, changed) {
  return table("Keys", ["Key", "Name", "Do", "May", "Made", "Ends", "Last used"], keys.map((key) => [
    code(`${key.prefix}…`),
    element("bdi", {}, key.name || "–"),
    !key.revoked_at && action("Revoke", async () => {
      if (!confirm(`Revoke ${key.prefix}…? Whoever uses it is refused at once.`)) return;
      await session.delete(`/keys/${encodeURIComponent(key.id)}`);
      announce("Revoked");
      await changed();
    }, { told, "aria-label": `Revoke ${key.name || key.prefix}` }),
    key.scopes.join(", "),
    time(key.created_at),
    key.revoked_at ? `revoked ${time(key.revoked_at)}` : key.expires_at ? time(key.expires_at) : "never",
    time(key.last_used_at),
  ]), "No keys but those that the node's settings name.");
}
