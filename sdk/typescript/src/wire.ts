/** Between the wire's snake_case and this package's camelCase; names that are a caller's own stay as they are. */

import { ConnectionFailed } from "./errors.js";
import type { components } from "./schema.js";

export type Wire = components["schemas"];

type CamelName<Name> = Name extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelName<Tail>>}` : Name;

/** The same fields under camelCase names, one level deep. */
export type Camel<T> = { [Name in keyof T as CamelName<Name>]: T[Name] };

/** The same, all the way down. */
export type DeepCamel<T> = T extends object ? { [Name in keyof T as CamelName<Name>]: DeepCamel<T[Name]> } : T;

/** Throws ConnectionFailed unless it is an object that has these fields. */
export function wireObject<T extends object>(data: unknown, what: string, ...required: string[]): T {
  if (typeof data !== "object" || data === null || Array.isArray(data)) {
    throw new ConnectionFailed(`the answer is not ${what}, not even an object: is this the API's address?`);
  }
  const missing = required.find((name) => (data as Record<string, unknown>)[name] === undefined);
  if (missing !== undefined) throw new ConnectionFailed(`the answer is not ${what}: ${missing} is missing`);
  return data as T;
}

/** Renames the fields of an object. */
export function camel<T extends object>(fields: T): Camel<T> {
  return renamed(fields, camelName) as Camel<T>;
}

/** Renames all fields in it. Not for what has names of a caller's own. */
export function deepCamel<T>(value: T): DeepCamel<T> {
  if (Array.isArray(value)) return value.map(deepCamel) as DeepCamel<T>;
  if (typeof value !== "object" || value === null) return value as DeepCamel<T>;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [camelName(name), deepCamel(item)]),
  ) as DeepCamel<T>;
}

/** Renames the other way, and leaves out what is undefined. */
export function snake(fields: object): Record<string, unknown> {
  return renamed(fields, (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

function camelName(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function renamed(fields: object, rename: (name: string) => string): Record<string, unknown> {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [rename(name), value]));
}
