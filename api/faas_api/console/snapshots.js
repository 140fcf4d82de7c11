// Snapshots and branches as a tree, and the sessions whose machines stay up.

import { action, announce, code, element, fail, notice, section, table } from "./document.js";
import { bytes, time } from "./words.js";

export const title = "Snapshots and branches";
export const link = "Snapshots";

export async function show(place, session) {
  const told = notice();
  const draw = async () => {
    const [snapshots, branches, sessions] = await Promise.all([
      session.all("/snapshots", "snapshots"),
      session.all("/branches", "branches"),
      session.get("/sessions", { limit: 100 }),
    ]);
    const change = (label, run, question, name) => action(label, async () => {
      if (question && !confirm(question)) return;
      const said = await run();
      await draw();
      announce(said ?? `${label}: done`);
    }, { told, "aria-label": `${label} ${name}` });
    const tree = new Tree(session, snapshots.entries, branches.entries, change);
    place.replaceChildren(
      told,
      section(
        "Tree",
        element("p", {}, "Each snapshot stands below the one that it was made from."),
        snapshots.total > snapshots.entries.length && element("p", {}, `The newest ${snapshots.entries.length} of ${snapshots.total} snapshots.`),
        tree.node(),
      ),
      section("Sessions", sessionTable(session, sessions.sessions, change)),
    );
  };
  try {
    await draw();
  } catch (error) {
    place.append(told);
    fail(told, error);
  }
}

class Tree {
  constructor(session, snapshots, branches, change) {
    Object.assign(this, { session, branches, change });
    const known = new Set(snapshots.map(({ id }) => id));
    this.children = grouped(snapshots, ({ parent_id: parent }) => (known.has(parent) ? parent : "base"));
  }

  node() {
    return element("ul", { class: "tree" }, element(
      "li", {},
      element("div", { class: "entry" }, element("strong", {}, "base"), " – the machine that every run starts on by default"),
      this.#below("base"),
    ));
  }

  #below(id) {
    const items = [
      ...this.branches.filter(({ snapshot_id: begun }) => begun === id).map((branch) => this.#branch(branch)),
      ...(this.children.get(id) ?? []).map((snapshot) => this.#snapshot(snapshot)),
    ];
    return items.length > 0 && element("ul", {}, items);
  }

  #snapshot(snapshot) {
    const { id, metadata, kind, mode } = snapshot;
    const heads = this.branches.filter(({ head }) => head === id);
    return element(
      "li", { "data-snapshot": id },
      element(
        "div", { class: "entry" },
        metadata.name && element("strong", {}, element("bdi", {}, metadata.name), " "),
        code(id),
        element("span", { class: "about" }, `${kind}, ${mode}, ${bytes(snapshot.size_bytes)}, ${time(snapshot.created_at)}`),
        heads.map((branch) => element("span", { class: "badge head" }, "head of ", branch.metadata.name ?? branch.id)),
        element(
          "div", { class: "actions" },
          element("a", { href: `#/run?snapshot=${encodeURIComponent(id)}` }, "Run on it"),
          snapshot.execution_id && element("a", { href: `#/executions/${encodeURIComponent(snapshot.execution_id)}` }, "Execution"),
          this.#changes(snapshot),
        ),
      ),
      this.#below(id),
    );
  }

  #changes({ id }) {
    if (!this.session.may("snapshots")) return [];
    const path = `/snapshots/${encodeURIComponent(id)}`;
    return [
      this.change("Begin a branch", () => this.session.post("/branches", { snapshot_id: id }), null, `at ${id}`),
      this.change("Restore", () => this.session.post(`${path}/restore`), null, id),
      this.change("Delete", () => this.session.delete(path), `Delete snapshot ${id}?`, id),
    ];
  }

  #branch(branch) {
    const { id, metadata, head } = branch;
    return element(
      "li", { "data-branch": id, class: "branch" },
      element(
        "div", { class: "entry" },
        element("span", { class: "badge" }, "branch"), " ",
        metadata.name && element("strong", {}, element("bdi", {}, metadata.name), " "),
        code(id),
        element("span", { class: "about" }, head === branch.snapshot_id ? "stands where it began" : `its head is ${head}`),
        element(
          "div", { class: "actions" },
          element("a", { href: `#/run?branch=${encodeURIComponent(id)}` }, "Run in it"),
          this.session.may("snapshots") && this.change(
            "Forget", () => this.session.delete(`/branches/${encodeURIComponent(id)}`), `Forget branch ${id}? Its snapshots stay.`, id,
          ),
        ),
      ),
    );
  }
}

function grouped(items, keyOf) {
  const groups = new Map();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return groups;
}

function sessionTable(session, sessions, change) {
  return table("Sessions", ["Session", "Machine", "Began on", "Used", "Do"], sessions.map((line) => [
    element("a", { href: `#/run?session=${encodeURIComponent(line.session_id)}` }, line.session_id),
    line.running ? "in memory" : "kept",
    line.snapshot_id ?? "base",
    time(line.updated_at),
    session.may("execute") && change(
      "End", () => session.delete(`/sessions/${encodeURIComponent(line.session_id)}`), `End session ${line.session_id}?`, line.session_id,
    ),
  ]), "No machines stay up.");
}
