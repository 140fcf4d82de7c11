/**
 * Tangle's schema and payload encoding (SchemaLib), as far as a client needs it.
 *
 * A schema is a list of fields; a payload is their values one after the other, without tags. Values: integers
 * up to 32 bits `number`, longer ones `bigint` (either may be given), Bool `boolean`, String `string`, bytes of
 * all kinds `Uint8Array`, Optional the child's value or null, Array and List an array, Struct an object by
 * field name. Throws TypeError on what does not fit.
 */

import { bytesOf, concatenated, sameBytes, strictText } from "./bytes.js";

export type Value = boolean | number | bigint | string | Uint8Array | null | readonly Value[] | { [name: string]: Value };

const SCHEMA_VERSION = 2;
const MAX_DEPTH = 32;
const MAX_ITEMS = 10_000;

/** Numbered as on-chain. */
export const KINDS = [
  ...(["VOID", "BOOL", "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64"] as const),
  ...(["UINT128", "INT128", "UINT256", "INT256", "ADDRESS", "BYTES32", "FIXED_BYTES", "STRING"] as const),
  ...(["BYTES", "OPTIONAL", "ARRAY", "LIST", "STRUCT"] as const),
] as const;

export type Kind = (typeof KINDS)[number];

/** One node; `length` counts an Array's items or a FixedBytes' bytes. */
export interface Field {
  readonly kind: Kind;
  readonly name: string;
  readonly children: readonly Field[];
  readonly length: number;
}

export function field(kind: Kind, name: string, children: readonly Field[] = [], length = 0): Field {
  return { kind, name, children, length };
}

/** A payload being read. */
class Reader {
  #at = 0;

  constructor(readonly data: Uint8Array) {}

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.data.length) throw new TypeError(`the payload ends at byte ${this.data.length}, ${end} needed`);
    const part = this.data.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  /** Big-endian. */
  number(width: number): number {
    return Number(unsigned(this.take(width)));
  }

  /** A length or count, in its shortest form. */
  size(): number {
    const start = this.#at;
    const first = this.number(1);
    if (first < 0x80) return first;
    const value = first < 0xc0 ? ((first & 0x3f) << 8) | this.number(1) : this.number(first & 0x3f);
    if (!Number.isSafeInteger(value) || !sameBytes(encodeSize(value), this.data.subarray(start, this.#at))) {
      throw new TypeError(`the length before byte ${this.#at} is not in its shortest form`);
    }
    return value;
  }

  finish(): void {
    if (this.#at !== this.data.length) throw new TypeError(`${this.data.length - this.#at} bytes left over`);
  }
}

/** A length or count inside a payload. */
function encodeSize(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value);
  if (value < 0x4000) return Uint8Array.of(0x80 | (value >> 8), value & 0xff);
  const width = Math.ceil(value.toString(16).length / 2);
  return concatenated([Uint8Array.of(0xc0 | width), bigEndian(BigInt(value), width)]);
}

/** A schema as it stands on-chain. */
export function encodeSchema(fields: readonly Field[]): Uint8Array {
  return concatenated([Uint8Array.of(SCHEMA_VERSION), uint16(fields.length), ...fields.map(encodeNode)]);
}

/** The inverse of `encodeSchema`. */
export function decodeSchema(data: Uint8Array): Field[] {
  const reader = new Reader(data);
  const version = reader.number(1);
  if (version !== SCHEMA_VERSION) throw new TypeError(`schema version ${version} is not ${SCHEMA_VERSION}`);
  const fields = times(reader.number(2), () => decodeNode(reader, 0));
  reader.finish();
  return fields;
}

function encodeNode(node: Field): Uint8Array {
  const name = bytesOf(node.name);
  if (name.length >= 0x4000) throw new TypeError("a field name is too long");
  const kind = Uint8Array.of(KINDS.indexOf(node.kind));
  const head = [kind, uint16(node.length), uint16(node.children.length), encodeSize(name.length), name];
  return concatenated([...head, ...node.children.map(encodeNode)]);
}

function decodeNode(reader: Reader, depth: number): Field {
  if (depth > MAX_DEPTH) throw new TypeError("the schema is nested too deeply");
  const number = reader.number(1);
  const kind = KINDS[number];
  if (kind === undefined) throw new TypeError(`there is no kind ${number}`);
  const length = reader.number(2);
  const count = reader.number(2);
  const name = strictText(reader.take(reader.size()));
  return field(kind, name, times(count, () => decodeNode(reader, depth + 1)), length);
}

/** A payload; `values` holds exactly the fields. */
export function encode(fields: readonly Field[], values: { [name: string]: Value }): Uint8Array {
  const names = new Set(fields.map((item) => item.name));
  const odd = [...names].find((name) => !(name in values)) ?? Object.keys(values).find((name) => !names.has(name));
  if (odd !== undefined) throw new TypeError(`missing or unknown field '${odd}'`);
  return concatenated(fields.map((item) => encodeValue(item, values[item.name] ?? null)));
}

/** The values of a whole payload. */
export function decode(fields: readonly Field[], data: Uint8Array): { [name: string]: Value } {
  const reader = new Reader(data);
  const values = decodeFields(fields, reader, 0);
  reader.finish();
  return values;
}

function decodeFields(fields: readonly Field[], reader: Reader, depth: number): { [name: string]: Value } {
  return Object.fromEntries(fields.map((item) => [item.name, decodeValue(item, reader, depth)]));
}

/** Width in bytes and whether signed; undefined for what is no integer. */
function integer(kind: Kind): { width: number; signed: boolean } | undefined {
  const step = KINDS.indexOf(kind) - KINDS.indexOf("UINT8");
  return step < 0 || step > 11 ? undefined : { width: 1 << (step >> 1), signed: step % 2 === 1 };
}

/** Of bytes whose number is no part of the payload. */
function fixedWidth(item: Field): number | undefined {
  const widths: Partial<Record<Kind, number>> = { ADDRESS: 20, BYTES32: 32, FIXED_BYTES: item.length };
  return widths[item.kind];
}

function encodeValue(item: Field, value: Value): Uint8Array {
  const { kind, name } = item;
  const number = integer(kind);
  if (number !== undefined && (typeof value === "number" || typeof value === "bigint")) {
    return encodeInteger(item, value, number.width, number.signed);
  }
  if (kind === "VOID" && value === null) return new Uint8Array();
  if (kind === "BOOL" && typeof value === "boolean") return Uint8Array.of(Number(value));
  if (kind === "STRING" && typeof value === "string") return sized(bytesOf(value));
  if (["BYTES", "ADDRESS", "BYTES32", "FIXED_BYTES"].includes(kind) && value instanceof Uint8Array) {
    const width = fixedWidth(item);
    if (width !== undefined && width !== value.length) {
      throw new TypeError(`${name}: expected ${width} bytes, got ${value.length}`);
    }
    return width === undefined ? sized(value) : value;
  }
  if (kind === "OPTIONAL") return sized(value === null ? new Uint8Array() : encodeValue(only(item), value));
  if (kind === "STRUCT" && isStruct(value)) {
    return concatenated([encodeSize(item.children.length), encode(item.children, value)]);
  }
  if ((kind === "LIST" || kind === "ARRAY") && Array.isArray(value)) return encodeItems(item, value);
  throw new TypeError(`${name}: ${describe(value)} does not fit ${kind}`);
}

function encodeInteger(item: Field, value: number | bigint, width: number, signed: boolean): Uint8Array {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new TypeError(`${item.name}: ${value} is not an exact integer; give a bigint`);
  }
  const exact = BigInt(value);
  const bits = width * 8;
  if ((signed ? BigInt.asIntN(bits, exact) : BigInt.asUintN(bits, exact)) !== exact) {
    throw new TypeError(`${item.name}: ${value} does not fit ${item.kind}`);
  }
  return bigEndian(BigInt.asUintN(bits, exact), width);
}

function encodeItems(item: Field, items: readonly Value[]): Uint8Array {
  if (items.length > MAX_ITEMS || (item.kind === "ARRAY" && items.length !== item.length)) {
    throw new TypeError(`${item.name}: ${items.length} items are too many or too few`);
  }
  const count = item.kind === "LIST" ? [encodeSize(items.length)] : [];
  return concatenated([...count, ...items.map((value) => encodeValue(only(item), value))]);
}

function decodeValue(item: Field, reader: Reader, depth: number): Value {
  const { kind, name } = item;
  if (depth > MAX_DEPTH) throw new TypeError(`${name}: nested too deeply`);
  const number = integer(kind);
  if (number !== undefined) {
    const raw = unsigned(reader.take(number.width));
    const value = number.signed ? BigInt.asIntN(number.width * 8, raw) : raw;
    return number.width <= 4 ? Number(value) : value;
  }
  switch (kind) {
    case "VOID":
      return null;
    case "BOOL": {
      const raw = reader.number(1);
      if (raw > 1) throw new TypeError(`${name}: ${raw} is not a boolean`);
      return raw === 1;
    }
    case "STRING":
      return strictText(reader.take(reader.size()));
    case "OPTIONAL":
      return decodeOptional(item, reader.take(reader.size()), depth);
    case "STRUCT":
      if (reader.size() !== item.children.length) throw new TypeError(`${name}: not ${item.children.length} fields`);
      return decodeFields(item.children, reader, depth + 1);
    case "LIST":
    case "ARRAY": {
      const count = kind === "ARRAY" ? item.length : reader.size();
      if (count > MAX_ITEMS) throw new TypeError(`${name}: over ${MAX_ITEMS} items`);
      return times(count, () => decodeValue(only(item), reader, depth + 1));
    }
    default:
      return reader.take(fixedWidth(item) ?? reader.size()).slice();
  }
}

function decodeOptional(item: Field, data: Uint8Array, depth: number): Value {
  if (data.length === 0) return null;
  const reader = new Reader(data);
  const value = decodeValue(only(item), reader, depth + 1);
  reader.finish();
  return value;
}

function only(item: Field): Field {
  const child = item.children[0];
  if (child === undefined) throw new TypeError(`${item.name}: the schema names no child of ${item.kind}`);
  return child;
}

function isStruct(value: Value): value is { [name: string]: Value } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function describe(value: Value): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : value instanceof Uint8Array ? "bytes" : `a ${typeof value}`;
}

function sized(content: Uint8Array): Uint8Array {
  return concatenated([encodeSize(content.length), content]);
}

function uint16(value: number): Uint8Array {
  return bigEndian(BigInt(value), 2);
}

function bigEndian(value: bigint, width: number): Uint8Array {
  const bytes = new Uint8Array(width);
  for (let index = width - 1, rest = value; index >= 0; index -= 1, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  return bytes;
}

function unsigned(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
