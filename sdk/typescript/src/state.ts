/** Snapshots, branches, sessions and lists, as they are answered. */

import { ConnectionFailed } from "./errors.js";
import { camel, wireObject, type Camel, type Wire } from "./wire.js";

/** A machine as it stood. */
export type Snapshot = Camel<Wire["Snapshot"]>;

/** The snapshot that a merge made. */
export type Merged = Camel<Wire["Merged"]>;

/** A machine that stands where a snapshot was taken; `sessionId` runs in it, null where a run was under way. */
export type Restored = Camel<Wire["Restored"]>;

/** A line of snapshots; its next run starts at `head`. */
export type Branch = Camel<Wire["Branch"]>;

/** A machine that stays up between runs. */
export type Session = Camel<Wire["Session"]>;

/** An execution in a list. */
export type ExecutionLine = Camel<Wire["ExecutionLine"]>;

/** What an execution has written. */
export type Logs = Camel<Wire["Logs"]>;

export type Metadata = Wire["Metadata"] | Record<string, unknown>;

/** A part of a list, newest first. */
export interface Page<Item> {
  items: Item[];
  total: number;
  limit: number;
  offset: number;
}

export function snapshotOf(data: unknown): Snapshot {
  return camel(wireObject<Wire["Snapshot"]>(data, "a snapshot", "snapshot_id", "mode", "size_bytes", "created_at"));
}

export function mergedOf(data: unknown): Merged {
  return camel(wireObject<Wire["Merged"]>(data, "a merge", "snapshot_id", "mode", "size_bytes", "created_at"));
}

export function restoredOf(data: unknown): Restored {
  return camel(wireObject<Wire["Restored"]>(data, "a restored machine", "execution_id", "snapshot_id", "duration_ms"));
}

export function branchOf(data: unknown): Branch {
  return camel(wireObject<Wire["Branch"]>(data, "a branch", "branch_id", "snapshot_id", "created_at"));
}

export function sessionOf(data: unknown): Session {
  return camel(wireObject<Wire["Session"]>(data, "a session", "session_id"));
}

export function executionLineOf(data: unknown): ExecutionLine {
  return camel(wireObject<Wire["ExecutionLine"]>(data, "an execution", "execution_id", "status"));
}

export function logsOf(data: unknown): Logs {
  return camel(wireObject<Wire["Logs"]>(data, "an execution's logs", "stdout", "stderr", "complete"));
}

/** The list under a name. Throws ConnectionFailed. */
export function pageOf<Item>(data: unknown, name: string, item: (data: unknown) => Item): Page<Item> {
  const body = wireObject<Record<string, unknown>>(data, `a list of ${name}`, name, "total", "limit", "offset");
  const items = body[name];
  const [total, limit, offset] = [body["total"], body["limit"], body["offset"]];
  if (!Array.isArray(items) || typeof total !== "number" || typeof limit !== "number" || typeof offset !== "number") {
    throw new ConnectionFailed(`the answer is not a list of ${name}`);
  }
  return { items: items.map(item), total, limit, offset };
}
