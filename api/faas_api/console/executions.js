// The list of executions.

import { badge, choice, element, fail, labelled, notice, pager, table } from "./document.js";
import { milliseconds, time } from "./words.js";

export const title = "Executions";

const STATUSES = ["queued", "running", "completed", "failed", "timeout", "cancelled", "restored"];
const LIMIT = 20;

/** `parameters` may have a `status` and an `offset`, so that the address names what is shown. */
export async function show(place, session, parameters) {
  const status = choice([["", "all"], ...STATUSES], { name: "status" });
  status.value = STATUSES.includes(parameters.status) ? parameters.status : "";
  const list = element("div", { class: "list" });
  const told = notice();
  const load = async (offset) => {
    const page = await session.get("/executions", { status: status.value, limit: LIMIT, offset });
    list.replaceChildren(rows(page.executions), pager(page, (next) => attempt(next)));
  };
  const attempt = async (offset) => {
    told.replaceChildren();
    history.replaceState(null, "", `#/executions?${new URLSearchParams({ status: status.value, offset })}`);
    try {
      await load(offset);
    } catch (error) {
      fail(told, error);
    }
  };
  status.addEventListener("change", () => attempt(0));
  place.append(labelled("Status", status), told, list);
  await load(Number.parseInt(parameters.offset, 10) || 0);
}

function rows(executions) {
  return table("Executions", ["Execution", "Status", "Exit code", "Language", "Mode", "Took", "Begun"], executions.map((line) => [
    element("a", { href: `#/executions/${encodeURIComponent(line.id)}` }, line.id),
    badge(line.status),
    line.exit_code ?? "–",
    line.language ?? "–",
    line.cached ? `${line.mode}, known already` : line.mode,
    milliseconds(line.duration_ms),
    time(line.created_at),
  ]), "No executions with this status.");
}
