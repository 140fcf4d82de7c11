/**
 * Payloads as Fields: how the Services pallet of Tangle's Substrate chain carries what EVM carries as TLV.
 *
 * A payload's values and its digest are the same on both chains. A schema becomes a list of FieldTypes, and a payload
 * the SCALE bytes of a list of Fields, kind for kind, but for these, which the pallet does not have or bounds at 1,024
 * bytes or items:
 *
 * - String: a List of String, cut where characters end.
 * - Bytes: a List of Lists of Uint8. Bytes32, FixedBytes and Address: an Array of Uint8.
 * - List: a List of Lists of the item. An Array is one, of 1,024 items at the most.
 *
 * Every chunk but the last is as full as it can be. Structs carry no names. Throws TypeError on what does not fit.
 */

import { bytesOf, concatenated, sameBytes, strictText } from "./bytes.js";
import { decode, encode, type Field, type Kind, type Value } from "./tlv.js";

/** The pallet's MaxFieldsSize: bytes of a String, items of a List. */
const CHUNK = 1024;

/** Numbers of Field's variants. */
const VALUE = { OPTIONAL: 0, BOOL: 1, STRING: 10, ARRAY: 12, LIST: 13, STRUCT: 14 } as const;

/** Numbers of FieldType's variants, which are others. */
const TYPE = { BOOL: 1, UINT8: 2, STRING: 10, OPTIONAL: 12, ARRAY: 13, LIST: 14, STRUCT: 15 } as const;

/** Number (of the variant and of the type alike) and width in bytes. */
const INTEGERS: Partial<Record<Kind, readonly [number, number]>> = {
  UINT8: [2, 1],
  INT8: [3, 1],
  UINT16: [4, 2],
  INT16: [5, 2],
  UINT32: [6, 4],
  INT32: [7, 4],
  UINT64: [8, 8],
  INT64: [9, 8],
};

/** The Vec<FieldType> that a job's definition takes. */
export function encodeTypes(schema: readonly Field[]): Uint8Array {
  return concatenated([compact(schema.length), ...schema.map(typeOf)]);
}

/** The Vec<Field> that carries a TLV payload. */
export function toFields(schema: readonly Field[], payload: Uint8Array): Uint8Array {
  const values = decode(schema, payload);
  return concatenated([compact(schema.length), ...schema.map((item) => encodeValue(item, values[item.name] ?? null))]);
}

/** The TLV payload that a Vec<Field> carries: the inverse of `toFields`. */
export function fromFields(schema: readonly Field[], data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const count = reader.compact();
  if (count !== schema.length) throw new TypeError(`${count} arguments, expected ${schema.length}`);
  const values = Object.fromEntries(schema.map((item) => [item.name, decodeValue(item, reader, item.name)]));
  if (!reader.atEnd) throw new TypeError("bytes left over after the last argument");
  return encode(schema, values);
}

/** SCALE's compact integer, below 2^30. */
function compact(value: number): Uint8Array {
  if (value < 1 << 6) return Uint8Array.of(value << 2);
  return value < 1 << 14 ? littleEndian(BigInt(value * 4 + 1), 2) : littleEndian(BigInt(value * 4 + 2), 4);
}

function littleEndian(value: bigint, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, index) => Number((value >> BigInt(8 * index)) & 0xffn));
}

function typeOf(item: Field): Uint8Array {
  const { kind, length } = item;
  const integer = INTEGERS[kind];
  if (integer !== undefined) return Uint8Array.of(integer[0]);
  switch (kind) {
    case "BOOL":
      return Uint8Array.of(TYPE.BOOL);
    case "STRING":
      return Uint8Array.of(TYPE.LIST, TYPE.STRING);
    case "BYTES":
      return Uint8Array.of(TYPE.LIST, TYPE.LIST, TYPE.UINT8);
    case "ADDRESS":
    case "BYTES32":
    case "FIXED_BYTES":
      return concatenated([Uint8Array.of(TYPE.ARRAY), littleEndian(BigInt(widthOf(item)), 8), Uint8Array.of(TYPE.UINT8)]);
    case "OPTIONAL":
      return concatenated([Uint8Array.of(TYPE.OPTIONAL), typeOf(childOf(item))]);
    case "LIST":
      return concatenated([Uint8Array.of(TYPE.LIST, TYPE.LIST), typeOf(childOf(item))]);
    case "ARRAY":
      if (length > CHUNK) break;
      return concatenated([Uint8Array.of(TYPE.ARRAY), littleEndian(BigInt(length), 8), typeOf(childOf(item))]);
    case "STRUCT":
      return concatenated([Uint8Array.of(TYPE.STRUCT), compact(item.children.length), ...item.children.map(typeOf)]);
  }
  throw new TypeError(`${item.name}: ${kind} has no Field on Substrate`);
}

function widthOf(item: Field): number {
  return item.kind === "ADDRESS" ? 20 : item.kind === "BYTES32" ? 32 : item.length;
}

function childOf(item: Field): Field {
  const child = item.children[0];
  if (child === undefined) throw new TypeError(`${item.name}: the schema names no child of ${item.kind}`);
  return child;
}

/** Of a value that the TLV decoder has checked. */
function encodeValue(item: Field, value: Value): Uint8Array {
  if (item.kind === "OPTIONAL") {
    const head = [Uint8Array.of(VALUE.OPTIONAL), typeOf(childOf(item))];
    const rest = value === null ? [Uint8Array.of(0)] : [Uint8Array.of(1), encodeValue(childOf(item), value)];
    return concatenated([...head, ...rest]);
  }
  if (typeof value === "boolean") return Uint8Array.of(VALUE.BOOL, Number(value));
  if (typeof value === "number" || typeof value === "bigint") {
    const [number, width] = INTEGERS[item.kind] ?? [0, 0];
    return concatenated([Uint8Array.of(number), littleEndian(BigInt.asUintN(8 * width, BigInt(value)), width)]);
  }
  if (typeof value === "string") return list(Uint8Array.of(TYPE.STRING), chunksOfText(value).map(stringField));
  if (value instanceof Uint8Array) {
    if (item.kind === "BYTES") return list(Uint8Array.of(TYPE.LIST, TYPE.UINT8), chunks(value).map(byteList));
    return concatenated([Uint8Array.of(VALUE.ARRAY, TYPE.UINT8), compact(value.length), spread(value)]);
  }
  return encodeMembers(item, value);
}

function encodeMembers(item: Field, value: Value): Uint8Array {
  if (Array.isArray(value)) {
    const child = childOf(item);
    const kind = typeOf(child);
    const fields = (value as Value[]).map((inner) => encodeValue(child, inner));
    if (item.kind === "ARRAY") return concatenated([Uint8Array.of(VALUE.ARRAY), kind, compact(fields.length), ...fields]);
    return list(concatenated([Uint8Array.of(TYPE.LIST), kind]), chunks(fields).map((part) => list(kind, part)));
  }
  const values = value as { [name: string]: Value };
  const members = item.children.flatMap((child) => [Uint8Array.of(0), encodeValue(child, values[child.name] ?? null)]);
  return concatenated([Uint8Array.of(VALUE.STRUCT, 0), compact(item.children.length), ...members]);
}

function list(kind: Uint8Array, items: readonly Uint8Array[]): Uint8Array {
  if (items.length > CHUNK) throw new TypeError(`more than ${CHUNK} chunks of ${CHUNK} do not fit a Field`);
  return concatenated([Uint8Array.of(VALUE.LIST), kind, compact(items.length), ...items]);
}

function stringField(text: Uint8Array): Uint8Array {
  return concatenated([Uint8Array.of(VALUE.STRING), compact(text.length), text]);
}

function byteList(data: Uint8Array): Uint8Array {
  return concatenated([Uint8Array.of(VALUE.LIST, TYPE.UINT8), compact(data.length), spread(data)]);
}

/** Each byte as a Field of its own. */
function spread(data: Uint8Array): Uint8Array {
  const fields = new Uint8Array(2 * data.length).fill(TYPE.UINT8);
  for (let index = 0; index < data.length; index += 1) fields[2 * index + 1] = data[index] ?? 0;
  return fields;
}

function chunks<T extends { slice(start: number, end: number): T; length: number }>(items: T): T[] {
  const count = Math.ceil(items.length / CHUNK);
  return Array.from({ length: count }, (_, index) => items.slice(index * CHUNK, (index + 1) * CHUNK));
}

function chunksOfText(text: string): Uint8Array[] {
  const data = bytesOf(text);
  const parts: Uint8Array[] = [];
  for (let start = 0; start < data.length; ) {
    let end = Math.min(start + CHUNK, data.length);
    while (end < data.length && ((data[end] ?? 0) & 0xc0) === 0x80) end -= 1;
    parts.push(data.slice(start, end));
    start = end;
  }
  return parts;
}

function decodeValue(item: Field, reader: Reader, path: string): Value {
  const { kind } = item;
  const integer = INTEGERS[kind];
  if (integer !== undefined) {
    const [number, width] = integer;
    reader.expect(Uint8Array.of(number), path);
    const raw = reader.littleEndian(width);
    const value = kind.startsWith("INT") ? BigInt.asIntN(8 * width, raw) : raw;
    return width <= 4 ? Number(value) : value;
  }
  switch (kind) {
    case "BOOL":
      reader.expect(Uint8Array.of(VALUE.BOOL), path);
      return reader.flag(path);
    case "STRING":
      return textOf(concatenated(decodeList(reader, Uint8Array.of(TYPE.STRING), path, () => decodeString(reader, path))), path);
    case "BYTES": {
      const chunk = (): Uint8Array => {
        reader.expect(Uint8Array.of(VALUE.LIST, TYPE.UINT8), path);
        return reader.spread(reader.compact(), path);
      };
      return concatenated(decodeList(reader, Uint8Array.of(TYPE.LIST, TYPE.UINT8), path, chunk));
    }
    case "OPTIONAL":
      reader.expect(concatenated([Uint8Array.of(VALUE.OPTIONAL), typeOf(childOf(item))]), path);
      return reader.flag(path) ? decodeValue(childOf(item), reader, path) : null;
    case "STRUCT":
      return decodeStruct(item, reader, path);
    case "LIST": {
      const child = childOf(item);
      const kinds = typeOf(child);
      const chunk = (): Value[] => decodeList(reader, kinds, path, () => decodeValue(child, reader, path));
      return decodeList(reader, concatenated([Uint8Array.of(TYPE.LIST), kinds]), path, chunk).flat(1) as Value[];
    }
    case "ARRAY":
      reader.expect(concatenated([Uint8Array.of(VALUE.ARRAY), typeOf(childOf(item))]), path);
      reader.count(item.length, path);
      return Array.from({ length: item.length }, () => decodeValue(childOf(item), reader, path));
    default:
      reader.expect(Uint8Array.of(VALUE.ARRAY, TYPE.UINT8), path);
      reader.count(widthOf(item), path);
      return reader.spread(widthOf(item), path);
  }
}

function decodeStruct(item: Field, reader: Reader, path: string): Value {
  reader.expect(Uint8Array.of(VALUE.STRUCT), path);
  reader.take(reader.compact()); // its name says nothing
  reader.count(item.children.length, path);
  const values: { [name: string]: Value } = {};
  for (const child of item.children) {
    reader.take(reader.compact());
    values[child.name] = decodeValue(child, reader, `${path}.${child.name}`);
  }
  return values;
}

function decodeList<T>(reader: Reader, kind: Uint8Array, path: string, item: () => T): T[] {
  reader.expect(concatenated([Uint8Array.of(VALUE.LIST), kind]), path);
  return Array.from({ length: reader.compact() }, item);
}

function decodeString(reader: Reader, path: string): Uint8Array {
  reader.expect(Uint8Array.of(VALUE.STRING), path);
  return reader.take(reader.compact());
}

function textOf(data: Uint8Array, path: string): string {
  try {
    return strictText(data);
  } catch (error) {
    throw new TypeError(`${path}: not UTF-8`, { cause: error });
  }
}

class Reader {
  #at = 0;

  constructor(readonly data: Uint8Array) {}

  get atEnd(): boolean {
    return this.#at === this.data.length;
  }

  take(count: number): Uint8Array {
    const end = this.#at + count;
    if (end > this.data.length) throw new TypeError(`the arguments end at byte ${this.data.length}, ${end} needed`);
    const part = this.data.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  flag(path: string): boolean {
    const [value = 0] = this.take(1);
    if (value > 1) throw new TypeError(`${path}: ${value} is over 1`);
    return value === 1;
  }

  count(expected: number, path: string): void {
    if (this.compact() !== expected) throw new TypeError(`${path}: ${expected} items expected`);
  }

  expect(start: Uint8Array, path: string): void {
    if (!sameBytes(this.take(start.length), start)) throw new TypeError(`${path}: a Field of another type`);
  }

  spread(count: number, path: string): Uint8Array {
    const data = this.take(2 * count);
    for (let index = 0; index < data.length; index += 2) {
      if (data[index] !== TYPE.UINT8) throw new TypeError(`${path}: a Field of another type`);
    }
    return Uint8Array.from({ length: count }, (_, index) => data[2 * index + 1] ?? 0);
  }

  littleEndian(width: number): bigint {
    return this.take(width).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  compact(): number {
    const mode = (this.take(1)[0] ?? 0) & 3;
    this.#at -= 1;
    if (mode === 3) throw new TypeError("a length over any bound");
    return Number(this.littleEndian([1, 2, 4][mode] ?? 1) >> 2n);
  }
}
