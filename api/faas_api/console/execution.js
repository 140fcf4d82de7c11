// One execution: what it wrote and left, what it cost, its receipt, and whether that holds together.

import { action, announce, badge, code, element, facts, fail, notice, save, section, table } from "./document.js";
import { Following, Log } from "./output.js";
import { verify } from "./receipt.js";
import { bytes, credits, milliseconds, number, time } from "./words.js";

export const title = "Execution";

const OPEN = ["queued", "running"];

/** `parameters.id` names it. */
export async function show(place, session, { id }) {
  let following = null;
  const told = notice();
  const path = `/executions/${encodeURIComponent(id)}`;
  const draw = async () => {
    const execution = await session.get(path);
    const ended = (last) => { if (last !== null) draw().catch((error) => fail(told, error)); };
    following?.close();
    following = OPEN.includes(execution.status) ? new Following(session, execution.id, onTerminal(execution), ended) : null;
    place.replaceChildren(told, ...parts(session, path, execution, following));
  };
  await draw();
  return () => following?.close();
}

function parts(session, path, execution, following) {
  const ended = execution.receipt !== null;
  return [
    summary(execution),
    actions(session, path, execution),
    execution.error && element("p", { class: "error" }, execution.error),
    section("Output", following?.node ?? written(execution)),
    ended && section("Files", files(session, path, execution)),
    execution.cost && section("Cost", facts([
      ["Compute", credits(execution.cost.compute)],
      ["Network", credits(execution.cost.network)],
      ["Total", credits(execution.cost.total)],
    ])),
    ended && section("Receipt", receipt(session, path, execution)),
  ].filter(Boolean);
}

function summary(execution) {
  const { job } = execution;
  return facts([
    ["Execution", code(execution.id)],
    ["Status", badge(execution.status)],
    ["Ended", execution.reason],
    ["Exit code", execution.exit_code],
    ["Language", job?.language],
    ["Mode", execution.cached ? `${execution.mode}, known already` : execution.mode],
    ["Begun", time(execution.created_at)],
    ["Took", milliseconds(execution.duration_ms)],
    ["Virtual time", execution.virtual_ns === null ? null : `${number(execution.virtual_ns / 1e6)} ms`],
    ["Seed", job && code(String(job.seed))],
    ["Started on", execution.started_on && code(execution.started_on)],
    ["Branch", execution.branch_id && code(execution.branch_id)],
    ["Session", execution.session_id && element("a", { href: `#/run?session=${encodeURIComponent(execution.session_id)}` }, execution.session_id)],
    ["Kept as", execution.snapshot_id && element("a", { href: "#/snapshots" }, execution.snapshot_id)],
  ]);
}

function actions(session, path, execution) {
  const told = notice();
  const buttons = [];
  if (OPEN.includes(execution.status) && session.may("execute")) {
    buttons.push(action("Cancel", () => session.post(`${path}/cancel`), { told }));
  } else if (execution.receipt !== null && execution.snapshot_id === null && !execution.job?.interactive && session.may("snapshots")) {
    buttons.push(action("Take a snapshot", async () => {
      announce("Running it again to its end");
      await session.post("/snapshots", { execution_id: execution.id });
      location.hash = "#/snapshots";
    }, { told }));
  }
  if (execution.snapshot_id) {
    buttons.push(element("a", { href: `#/run?snapshot=${encodeURIComponent(execution.snapshot_id)}` }, "Run on its machine"));
  }
  return buttons.length > 0 && element("div", { class: "actions" }, buttons, told);
}

function onTerminal({ job }) {
  return Boolean(job?.terminal);
}

function written(execution) {
  const log = new Log(onTerminal(execution));
  if (execution.stdout) log.write("stdout", execution.stdout);
  if (execution.stderr) log.write("stderr", execution.stderr);
  if (execution.truncated) log.remark("What went over the output limit was cut.");
  if (!execution.stdout && !execution.stderr) return element("p", { class: "empty" }, "It wrote nothing.");
  return log.node;
}

function files(session, path, execution) {
  const told = notice();
  const rows = (execution.files ?? []).map((file) => [
    element("bdi", {}, file.path),
    action("Download", async () => {
      const where = file.path.split("/").map(encodeURIComponent).join("/");
      save(file.path.split("/").at(-1), [await session.bytes(`${path}/files/${where}`)]);
    }, { told, "aria-label": `Download ${file.path}` }),
    bytes(file.size),
    code(file.sha256),
  ]);
  return [
    table("Output files", ["Path", "Get it", "Size", "SHA-256"], rows, "It left no files in its output folder."),
    execution.files_truncated && element("p", {}, "Something was left out: too large, or no regular file."),
    told,
  ];
}

function receipt(session, path, execution) {
  const told = notice();
  const verdict = element("div", { class: "verdict", role: "status" });
  const load = () => session.get(`${path}/receipt`);
  return [
    element(
      "p", {}, "Signed by the operator. Here the signature and all digests are checked, by this browser. Steps 3 and 5, which ask ",
      "a chain, and 7 and 8, which run the job again, are those of ", code("faas verify"), " with the receipt file.",
    ),
    element(
      "div", { class: "actions" },
      action("Verify", async () => tell(verdict, verify(await load(), execution)), { told, class: "primary" }),
      action("Download the receipt file", async () => {
        save(`${execution.id}.receipt.json`, [JSON.stringify(await load(), null, 1)], "application/json");
      }, { told }),
    ),
    verdict, told,
    facts([
      ...Object.entries(execution.receipt).map(([name, value]) => [name, code(String(value))]),
      ["signature", code(execution.signature)],
    ]),
  ];
}

function tell(place, { passed, findings }) {
  const verdict = passed ? "Verified: signature and digests hold together." : "Not verified.";
  place.replaceChildren(
    element("p", { class: passed ? "good" : "bad" }, element("strong", {}, `${passed ? "✓" : "✗"} ${verdict}`)),
    element("ol", { class: "findings" }, findings.map(({ number: step, name, status, detail }) => element(
      "li", { value: step, "data-status": status }, element("strong", {}, `${name} ${status}: `), detail,
    ))),
  );
}
