// Numbers and times as people read them.

/** A time that the API wrote, in the reader's own time zone. */
export function time(text) {
  if (!text) return "–";
  return new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** Milliseconds. */
export function milliseconds(count) {
  if (count === null || count === undefined) return "–";
  return count < 1000 ? `${count} ms` : `${(count / 1000).toLocaleString(undefined, { maximumFractionDigits: 2 })} s`;
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** Bytes. */
export function bytes(count) {
  const step = Math.max(0, Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10)));
  return `${(count / 1024 ** step).toLocaleString(undefined, { maximumFractionDigits: step ? 1 : 0 })} ${UNITS[step]}`;
}

/** Credits, given as credits; as many places as a nanocredit has. */
export function credits(amount) {
  if (amount === null || amount === undefined) return "–";
  return `${amount.toLocaleString(undefined, { maximumFractionDigits: 9 })} credits`;
}

/** Credits, given as nanocredits. */
export function nanocredits(amount) {
  return credits(amount / 1e9);
}

/** A count. */
export function number(count, places = 3) {
  return count.toLocaleString(undefined, { maximumFractionDigits: places });
}
