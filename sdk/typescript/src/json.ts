/**
 * JSON whose integers survive: seeds have 64 bits, and a JavaScript number holds 53 of them.
 *
 * Integers that a number cannot hold are read as `bigint`; a `bigint` is written as a plain integer.
 */

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Throws SyntaxError. */
export function parseJson(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const mark = `integer ${Math.random()} `; // what no text begins with, by accident or on purpose
  const restore = (_: string, value: unknown): unknown =>
    typeof value === "string" && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value;
  return JSON.parse(markLargeIntegers(text, mark), restore);
}

/** Compact; without what is undefined. Throws TypeError for NaN and infinities, which JSON would have as null. */
export function stringifyJson(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${value} is no number that JSON has`);
  if (Array.isArray(value)) return `[${value.map((item) => stringifyJson(item ?? null)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${fields.map(([name, item]) => `${JSON.stringify(name)}:${stringifyJson(item)}`).join(",")}}`;
}

/** A number where one holds it exactly, so that it looks in JSON and to `===` like any other. */
export function exactNumber(value: bigint): number | bigint {
  return BigInt(Number.MIN_SAFE_INTEGER) <= value && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}

/** Puts large integers outside of strings into strings of their own. */
function markLargeIntegers(text: string, mark: string): string {
  const parts: string[] = [];
  const marked = (number: string): string =>
    /^-?\d+$/.test(number) && !Number.isSafeInteger(Number(number)) ? `"${mark}${number}"` : number;
  let at = 0;
  while (at < text.length) {
    const quote = text.indexOf('"', at);
    const start = quote < 0 ? text.length : quote;
    parts.push(text.slice(at, start).replace(NUMBER, marked));
    at = quote < 0 ? text.length : endOfString(text, quote);
    parts.push(text.slice(start, at));
  }
  return parts.join("");
}

/** The index after the closing quote of the string that opens at `quote`. */
function endOfString(text: string, quote: number): number {
  let end = quote;
  for (;;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length; // for JSON.parse to complain of
    let backslashes = 0;
    while (text[end - 1 - backslashes] === "\\") backslashes += 1;
    if (backslashes % 2 === 0) return end + 1;
  }
}
