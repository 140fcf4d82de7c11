// What a run writes, as it comes: the two streams told apart, and how far it is.

import { announce, element } from "./document.js";

/** Characters that are shown at most; what came first goes first. */
const SHOWN = 1_000_000;

/** A log of stdout and stderr. `write(stream, text)` adds to it. */
export class Log {
  #length = 0;
  #waiting = [];

  constructor() {
    this.node = element("div", { class: "log", role: "log", "aria-label": "Output", tabindex: "0" });
  }

  /** Adds text; it appears with the next frame. */
  write(stream, text) {
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
    if (last?.dataset.stream === stream && stream !== "remark" && last.textContent.length < SHOWN / 20) {
      last.firstChild.appendData(text);
    } else {
      this.node.append(element("pre", { class: stream, "data-stream": stream }, document.createTextNode(text)));
    }
  }
}

/** Follows an execution into a log and a bar. `ended(message)` is called once, with the last message or null. */
export class Following {
  #socket;

  constructor(session, executionId, ended) {
    this.log = new Log();
    this.bar = element("progress", { max: "1", value: "0", "aria-label": "Virtual time used" });
    this.bar.setAttribute("value", "0");
    this.status = element("p", { class: "status" }, "Waiting for its machine…");
    this.node = element("div", { class: "following" }, this.status, this.bar, this.log.node);
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
      this.status.textContent = `Running: ${message.message}`;
    } else if (message.type === "completed") {
      this.bar.value = 1;
      this.#say(`Completed with exit code ${message.exit_code} in ${message.duration_ms} ms`);
      return true;
    } else if (message.type === "error" && message.fatal !== false) {
      this.#say(`${message.status ?? message.code}: ${message.error}`);
      return true;
    }
    return false;
  }

  #say(text) {
    this.status.textContent = text;
    announce(text);
  }
}
