// Running code and watching it.

import { action, choice, element, fail, form, labelled, notice, option, section } from "./document.js";
import { Following, terminalSize } from "./output.js";

export const title = "Run code";
export const link = "Run";

const LANGUAGES = ["python", "javascript", "typescript", "bash", "rust", "go"];
const EXAMPLE = 'print("hello")\n';
const MODES = [
  ["ephemeral", "ephemeral – a fresh machine, gone afterwards"],
  ["cached", "cached – the known outcome, if this job has one"],
  ["checkpointed", "checkpointed – its machine is kept as a snapshot"],
  ["branched", "branched – a fork of a snapshot, kept too"],
  ["persistent", "persistent – a session whose machine stays up"],
];
const LIMITS = [
  ["timeout_ms", "Time", "virtual ms"],
  ["memory_mb", "Memory", "MiB"],
  ["output_bytes", "Output", "bytes of each stream"],
  ["processes", "Processes", "at once"],
  ["disk_mb", "Disk", "MiB"],
];

/** `parameters` may name a `snapshot`, a `branch` or a `session` to start on. */
export function show(place, session, parameters) {
  const view = new RunView(session, parameters);
  place.append(...view.nodes());
  view.load();
  return () => view.following?.close();
}

class RunView {
  following = null;

  constructor(session, parameters) {
    this.session = session;
    this.parameters = parameters;
    this.result = element("div", { class: "result" });
    this.loadTold = notice();
    this.language = choice(LANGUAGES, { name: "language" });
    this.code = editor(EXAMPLE);
    this.stdin = element("textarea", { name: "stdin", rows: "2", spellcheck: "false", class: "text" });
    this.interactive = element("input", { type: "checkbox", name: "interactive" });
    this.interactive.addEventListener("change", () => this.#fitMode());
    this.terminal = element("input", { type: "checkbox", name: "terminal", disabled: true });
    this.mode = choice(MODES, { name: "mode" });
    this.start = choice([["base", "The base machine"]], { name: "start" });
    this.start.addEventListener("change", () => this.#fitMode());
    this.files = element("input", { type: "file", name: "files", multiple: true });
    this.arguments = element("textarea", { name: "arguments", rows: "2", spellcheck: "false", class: "text" });
    this.environment = element("textarea", { name: "environment", rows: "2", spellcheck: "false", class: "text" });
    this.seed = element("input", { type: "number", name: "seed", min: "0", max: Number.MAX_SAFE_INTEGER, step: "1" });
    this.limits = LIMITS.map(([name, label, unit]) => [
      name, label, unit, element("input", { type: "number", name, min: "1", step: "1", inputmode: "numeric" }),
    ]);
  }

  nodes() {
    const fields = form(
      "Run", () => this.run(),
      labelled("Language", this.language),
      labelled("Code", this.code, "Tab indents. Press Escape, then Tab, to leave the editor."),
      labelled("Standard input", this.stdin),
      element(
        "div", { class: "boxes" },
        element("label", {}, this.interactive, " Interactive: type more input when it asks for it"),
        element("label", {}, this.terminal, " On a terminal, which is shown as plain text"),
      ),
      element("div", { class: "columns" }, labelled("Mode", this.mode), labelled("Start on", this.start)),
      element(
        "details", {}, element("summary", {}, "Files, arguments, limits"),
        labelled("Files", this.files, "The program finds them in the folder that it starts in."),
        element(
          "div", { class: "columns" },
          labelled("Arguments", this.arguments, "One on each line"),
          labelled("Environment", this.environment, "NAME=value, one on each line"),
        ),
        element(
          "fieldset", { class: "columns" }, element("legend", {}, "Limits; empty: as usual"),
          this.limits.map(([, label, unit, input]) => labelled(label, input, unit)),
          labelled("Seed", this.seed, "of its random numbers"),
        ),
      ),
    );
    this.code.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) fields.requestSubmit();
    });
    return [this.loadTold, fields, this.result];
  }

  /** What there is to start on. */
  async load() {
    try {
      const [snapshots, branches, sessions] = await Promise.all(
        ["snapshots", "branches", "sessions"].map((name) => this.session.get(`/${name}`, { limit: 100 })),
      );
      this.#offer("Snapshots", snapshots.snapshots.map(({ id, metadata }) => [`snapshot:${id}`, named(id, metadata)]));
      this.#offer("Branches", branches.branches.map(({ id, metadata }) => [`branch:${id}`, named(id, metadata)]));
      this.#offer("Sessions", sessions.sessions.map(({ session_id: id }) => [`session:${id}`, id]));
      this.#choose();
    } catch (error) {
      fail(this.loadTold, error);
    }
  }

  #offer(label, options) {
    if (options.length > 0) this.start.append(element("optgroup", { label }, options.map(option)));
  }

  #choose() {
    for (const kind of ["snapshot", "branch", "session"]) {
      const id = this.parameters[kind];
      if (id === undefined) continue;
      const value = `${kind}:${id}`;
      if (![...this.start.options].some((known) => known.value === value)) this.#offer("Named in the address", [[value, id]]);
      this.start.value = value;
      this.#fitMode();
    }
  }

  /** A session is gone on with in mode persistent; a branch is moved on by mode branched; interactive: ephemeral. */
  #fitMode() {
    if (this.interactive.checked) {
      this.mode.value = "ephemeral";
      this.start.value = "base";
    }
    this.terminal.disabled = !this.interactive.checked;
    this.mode.disabled = this.interactive.checked;
    this.start.disabled = this.interactive.checked;
    const [kind] = this.start.value.split(":");
    if (kind === "session") this.mode.value = "persistent";
    else if (kind === "branch") this.mode.value = "branched";
  }

  async run() {
    const body = await this.#body();
    this.following?.close();
    this.result.replaceChildren();
    if (this.interactive.checked && this.terminal.checked) body.terminal = terminalSize(this.result);
    const { execution_id: id } = await this.session.post("/execute", body);
    const told = notice();
    const cancel = action("Cancel", () => this.session.post(`/executions/${encodeURIComponent(id)}/cancel`), { told });
    const more = element("a", { href: `#/executions/${encodeURIComponent(id)}` }, "Receipt, files and cost");
    this.following = new Following(this.session, id, "terminal" in body, () => cancel.remove());
    this.result.replaceChildren(section("Output", this.following.node, told, element("div", { class: "actions" }, cancel, more)));
    this.result.scrollIntoView({ block: "nearest" });
  }

  async #body() {
    const body = { language: this.language.value, code: this.code.value, mode: this.mode.value, async: true };
    if (this.interactive.checked) body.interactive = true;
    if (this.stdin.value) body.stdin = this.stdin.value;
    if (this.arguments.value) body.arguments = lines(this.arguments.value);
    if (this.environment.value.trim()) body.env_vars = Object.fromEntries(lines(this.environment.value).map(variable));
    if (this.seed.value) body.seed = Number(this.seed.value);
    const limits = this.limits.filter(([, , , input]) => input.value).map(([name, , , input]) => [name, Number(input.value)]);
    if (limits.length > 0) body.resources = Object.fromEntries(limits);
    const files = await Promise.all([...this.files.files].map(async (file) => [file.name, await base64(file)]));
    if (files.length > 0) body.files = Object.fromEntries(files);
    return { ...body, ...this.#placement(body.mode) };
  }

  #placement(mode) {
    const [kind, ...rest] = this.start.value.split(":");
    const id = rest.join(":");
    if (kind === "snapshot") return { snapshot_id: id };
    if (kind === "branch") return { branch_id: id };
    if (kind === "session") return { session: id };
    return mode === "branched" ? { snapshot_id: "base" } : {};
  }
}

function named(id, metadata) {
  return metadata?.name ? `${metadata.name} (${id})` : id;
}

function lines(text) {
  return text.replace(/\n$/, "").split("\n");
}

function variable(line) {
  const at = line.indexOf("=");
  if (at < 1) throw new Error(`Environment: '${line}' is not NAME=value`);
  return [line.slice(0, at), line.slice(at + 1)];
}

async function base64(file) {
  const data = new Uint8Array(await file.arrayBuffer());
  const parts = [];
  for (let at = 0; at < data.length; at += 0x8000) parts.push(String.fromCharCode(...data.subarray(at, at + 0x8000)));
  return btoa(parts.join(""));
}

const INDENT = "    ";

/** A text area in which Tab indents, until Escape is pressed. */
function editor(text) {
  const area = element("textarea", {
    name: "code", rows: "12", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off",
    required: true, class: "code", value: text,
  });
  let leaving = false;
  area.addEventListener("focus", () => { leaving = false; });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leaving = true;
    else if (event.key !== "Tab" || event.ctrlKey || event.altKey || event.metaKey || leaving) return;
    else {
      event.preventDefault();
      if (event.shiftKey) outdent(area);
      else area.setRangeText(INDENT, area.selectionStart, area.selectionEnd, "end");
    }
  });
  return area;
}

function outdent(area) {
  const start = area.value.lastIndexOf("\n", area.selectionStart - 1) + 1;
  const spaces = /^ {0,4}/.exec(area.value.slice(start, start + INDENT.length))[0].length;
  area.setRangeText("", start, start + spaces, "preserve");
}
