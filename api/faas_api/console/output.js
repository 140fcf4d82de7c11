// What a run writes, as it comes: the two streams told apart, and how far it is; and a line to answer it with.

import { action, announce, element, fail, form, labelled, notice } from "./document.js";

/** Characters that are shown at most; what came first goes first. */
const SHOWN = 1_000_000;

/** Characters of a line that is sent, at most: a message of the WebSocket has 64 KiB. */
const LINE = 10_000;

/** What a terminal takes for an order and does not show. */
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])|\r(?=\n)/g;

/** What may yet become one. */
const BEGUN = /(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,4096}\x1b?|[ -/]*)|\r)$/;

/** What a terminal is sent, piece by piece, as text alone. It is not drawn: nothing moves, nothing has a colour. */
export class TerminalText {
  #begun = "";

  of(piece) {
    const text = this.#begun + piece;
    const end = text.search(BEGUN);
    this.#begun = end < 0 ? "" : text.slice(end);
    return (end < 0 ? text : text.slice(0, end)).replace(SEQUENCE, "");
  }
}

/** How large a terminal fits into a log in `place`, which is empty. */
export function terminalSize(place) {
  const character = element("span", {}, "0");
  const line = element("pre", {}, character);
  const log = element("div", { class: "log" }, line);
  place.append(log);
  const { maxHeight, paddingTop, paddingBottom } = getComputedStyle(log);
  const cols = line.clientWidth / character.getBoundingClientRect().width;
  const edges = parseFloat(paddingTop) + parseFloat(paddingBottom) + log.offsetHeight - log.clientHeight;
  const rows = (parseFloat(maxHeight) - edges) / line.clientHeight;
  log.remove();
  return { cols: cells(cols), rows: cells(rows) };
}

function cells(number) {
  return Math.min(Math.max(Math.floor(number), 1), 1000);
}

/** A log of stdout and stderr, or of what a terminal is sent. `write(stream, text)` adds to it. */
export class Log {
  #length = 0;
  #waiting = [];
  #plain;

  constructor(terminal = false) {
    this.#plain = terminal ? new TerminalText() : null;
    this.node = element("div", { class: "log", role: "log", "aria-label": "Output", tabindex: "0" });
  }

  /** Adds text; it appears with the next frame. */
  write(stream, given) {
    const text = stream === "stdout" && this.#plain ? this.#plain.of(given) : given;
    if (this.#waiting.length === 0) setTimeout(() => this.#flush(), 30);
    this.#waiting.push([stream, text]);
  }

  /** Adds a remark that is no output. */
  remark(text) {
    this.write("remark", text);
  }

  clear() {
    this.#waiting.length = 0;
    this.#length = 0;
    this.node.replaceChildren();
  }

  #flush() {
    const { node } = this;
    const atEnd = node.scrollHeight - node.scrollTop - node.clientHeight < 40;
    for (const [stream, text] of this.#waiting.splice(0)) this.#append(stream, text);
    while (this.#length > SHOWN && node.childNodes.length > 1) {
      this.#length -= node.firstChild.textContent.length;
      node.firstChild.remove();
      node.classList.add("cut");
    }
    if (atEnd) node.scrollTop = node.scrollHeight;
  }

  #append(stream, text) {
    const last = this.node.lastChild;
    this.#length += text.length;
    if (last?.dataset.stream === stream && stream.startsWith("std") && last.textContent.length < SHOWN / 20) {
      last.firstChild.appendData(text);
    } else {
      this.node.append(element("pre", { class: stream, "data-stream": stream }, document.createTextNode(text)));
    }
  }
}

/**
 * A line of input, out of sight until `ask()`. `send(text, end)` gets what is entered, with `enter` behind it; the
 * focus goes on to `after`.
 */
class InputLine {
  #over = false;

  constructor(send, after, enter) {
    this.after = after;
    this.line = element("input", {
      type: "text", name: "input", spellcheck: "false", autocapitalize: "off", autocomplete: "off", enterkeyhint: "send",
      maxlength: LINE, class: "text",
    });
    this.told = notice();
    const entered = () => {
      this.told.replaceChildren();
      send(this.line.value + enter, false);
      this.line.value = "";
      this.line.focus();
    };
    const end = action("End input", () => {
      this.close();
      send(this.line.value, true);
    });
    const fields = form("Send", entered, labelled("Input", this.line));
    fields.querySelector(".actions").append(end);
    this.node = element("div", { class: "input", hidden: true }, fields, this.told);
  }

  /** Comes into sight, and takes the focus the first time. Answers whether it takes more. */
  ask() {
    if (this.#over) return false;
    if (this.node.hidden) {
      this.node.hidden = false;
      this.line.focus();
    }
    return true;
  }

  /** Tells that something was not taken. */
  refuse(error) {
    fail(this.told, error);
  }

  /** Takes no more. */
  close() {
    const form = this.node.querySelector("form");
    if (form.contains(document.activeElement)) this.after.focus();
    form.hidden = true;
    this.#over = true;
  }
}

/**
 * Follows an execution, on a `terminal` or not, into a log and a bar. `ended(message)` is called once, with the last
 * message or null.
 */
export class Following {
  #socket;
  #mayType;
  #terminal;

  constructor(session, executionId, terminal, ended) {
    this.#terminal = terminal;
    this.log = new Log(terminal);
    this.bar = element("progress", { max: "1", value: "0", "aria-label": "Virtual time used" });
    this.bar.setAttribute("value", "0");
    this.status = element("p", { class: "status" }, "Waiting for its machine…");
    const send = (text, end) => this.#send(executionId, text, end);
    this.input = new InputLine(send, this.log.node, terminal ? "\r" : "\n");
    this.node = element("div", { class: "following" }, this.status, this.bar, this.log.node, this.input.node);
    this.#mayType = session.may("execute");
    this.#socket = session.follow(executionId);
    let last = null;
    this.#socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (this.#hear(message)) last = message;
    });
    this.#socket.addEventListener("close", () => {
      if (this.#socket === null) return;
      if (last === null) this.#say("The connection ended before the run did.");
      this.#socket = null;
      this.input.close();
      ended(last);
    });
  }

  /** Follows no more; the run goes on. */
  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** Answers whether it was the last message. */
  #hear(message) {
    if (message.type === "output") this.log.write(message.stream, message.data);
    else if (message.type === "dropped") this.log.remark(message.message);
    else if (message.type === "progress") {
      this.bar.value = message.progress;
      if (message.wants_input) this.#ask();
      else this.status.textContent = `Running: ${message.message}`;
    } else if (message.type === "completed") {
      this.bar.value = 1;
      this.#say(`Completed with exit code ${message.exit_code} in ${message.duration_ms} ms`);
      return true;
    } else if (message.type === "error" && message.fatal !== false) {
      this.#say(`${message.status ?? message.code}: ${message.error}`);
      return true;
    } else if (message.type === "error") {
      this.input.refuse({ code: message.code, message: message.error });
    }
    return false;
  }

  #ask() {
    if (!this.#mayType) this.#say("It waits for input, which this key may not give.");
    else if (this.input.ask()) this.#say(this.#terminal ? "It waits for input." : "It waits for a line of input.");
  }

  #send(executionId, data, end) {
    this.#socket?.send(JSON.stringify({ type: "input", execution_id: executionId, data, end }));
    if (data && !this.#terminal) this.log.write("typed", end ? `${data}\n` : data); // terminals show it themselves
    this.status.textContent = end ? "Its input has ended." : "Running…";
  }

  #say(text) {
    this.status.textContent = text;
    announce(text);
  }
}
