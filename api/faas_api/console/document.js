// Elements from values. Whatever comes from the API goes in as text or as an attribute, never as markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. `attributes` has attributes by name; a function under `onclick` and the like listens; false, null
 * and undefined leave an attribute out. Children are nodes, texts, numbers or lists of them.
 */
export function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same, of SVG. */
export function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter(present).map(asNode));
  return node;
}

function present(child) {
  return child !== null && child !== undefined && child !== false;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

let numbered = 0;

/** A form control with its label, and a hint where there is one. */
export function labelled(label, control, hint) {
  numbered += 1;
  control.id ||= `field-${numbered}`;
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return element(
    "div", { class: "field" },
    element("label", { for: control.id }, label),
    control,
    hint && element("small", { id: `${control.id}-hint` }, hint),
  );
}

/** A `<select>` of `[value, label]` pairs or plain values. */
export function choice(options, attributes = {}) {
  return element("select", attributes, options.map(option));
}

/** One of its options. */
export function option(given) {
  const [value, label] = Array.isArray(given) ? given : [given, given];
  return element("option", { value }, label);
}

/** A button; while what it began goes on it does nothing more, and a failure is told in `told`. */
export function action(label, run, { told, ...attributes } = {}) {
  const button = element("button", { type: "button", ...attributes }, label);
  button.addEventListener("click", () => busy(button, told, run));
  return button;
}

/** A form whose submit button has `label`; `run` may fail. */
export function form(label, run, ...fields) {
  const told = notice();
  const button = element("button", { type: "submit", class: "primary" }, label);
  const made = element("form", {}, fields, element("div", { class: "actions" }, button), told);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(button, told, run);
  });
  return made;
}

/** Runs it once at a time and tells of a failure. */
export async function busy(button, told, run) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  told?.replaceChildren();
  try {
    await run();
  } catch (error) {
    if (told) fail(told, error);
    else throw error;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** A place for messages, read aloud when one comes. */
export function notice() {
  return element("div", { class: "notice", role: "alert" });
}

/** Puts an error there. */
export function fail(place, error) {
  const field = error.details?.field;
  place.replaceChildren(element(
    "p", { class: "error" },
    element("strong", {}, error.code ? `${error.code}: ` : "Error: "),
    error.message,
    field && !error.message.includes(field) && ` (${field})`,
  ));
}

/** Tells whoever listens to a screen reader. */
export function announce(text) {
  document.getElementById("announcement").textContent = text;
}

/** A table. A cell is a child of `element`; the first of each row is its heading. */
export function table(caption, headings, rows, empty = "Nothing yet.") {
  if (rows.length === 0) return element("p", { class: "empty" }, empty);
  return element(
    "div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table", {},
      element("caption", { class: "hidden" }, caption),
      element("thead", {}, element("tr", {}, headings.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, rows.map(([first, ...rest]) => element(
        "tr", {}, element("th", { scope: "row" }, first), rest.map((cell) => element("td", {}, cell)),
      ))),
    ),
  );
}

/** Names with values; those that are null are left out. */
export function facts(pairs) {
  return element(
    "dl", { class: "facts" },
    pairs.filter(([, value]) => present(value)).map(([name, value]) => element(
      "div", {}, element("dt", {}, name), element("dd", {}, value),
    )),
  );
}

/** A word with a colour of its own. */
export function badge(text) {
  return element("span", { class: `badge ${/^[a-z_]+$/.test(text) ? text : ""}` }, text);
}

/** Hexadecimal digits and ids, which may be broken anywhere. */
export function code(text) {
  return element("code", {}, text);
}

/** A heading with an id that its section is named by. */
export function section(title, ...children) {
  numbered += 1;
  const id = `section-${numbered}`;
  return element("section", { "aria-labelledby": id }, element("h2", { id }, title), children);
}

/** Buttons to the pages before and after; `show(offset)` shows another. */
export function pager({ total, limit, offset }, show) {
  if (total <= limit && offset === 0) return element("p", { class: "count" }, `${total} in all`);
  const last = Math.min(total, offset + limit);
  return element(
    "nav", { class: "pager", "aria-label": "Parts of the list" },
    element("button", { type: "button", disabled: offset === 0, onclick: () => show(Math.max(0, offset - limit)) }, "Newer"),
    element("span", {}, `${total === 0 ? 0 : offset + 1} to ${last} of ${total}`),
    element("button", { type: "button", disabled: last >= total, onclick: () => show(offset + limit) }, "Older"),
  );
}

/** Has the browser save bytes under a name. */
export function save(name, parts, type = "application/octet-stream") {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
