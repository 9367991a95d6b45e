// PN-Counter: increments and decrements add up, wherever they were made.
//
// Source: Shapiro et al., 2011, section 3.1.3. The entries belong to hubs, not to devices: a hub applies each operation
// once, so thousands of devices do not grow the state. State: `[epoch, {entry: [p, n]}]`, entries in order of their
// names; initial `[1, {}]`, kept as null.
import { type Cell, type Column, defaultOf, type Wire } from "../column";
import { compareText } from "../text";
import { check, InvalidValue, MAX_INT } from "../values";
import { epochOf, laterStamp, newerOf } from "./epoch";
import type { Merge } from "./index";

/** The entry under which a device shows its own pending changes; it never leaves the device. */
export const PENDING = "~";
/** The entry that holds the column's default in a cell that was not written when its row was made. */
const DEFAULT = "=";

type Entries = Map<string, readonly [number, number]>;

export const counter: Merge = {
  lossless: true,
  decided: false,
  empty: 0,

  initial(epoch) {
    return [epoch, {}];
  },

  check(_column, change) {
    return check("int", change);
  },

  difference(_column, oldValue, _oldState, newValue) {
    // Not exact beyond ±(2^53-1), but then beyond it all the same, and refused.
    return check("int", Number(newValue) - Number(oldValue));
  },

  apply(column, cell, change, stamp, _dot, hub) {
    const step = Number(change);
    const entries = entriesOf(column, cell);
    const [p, n] = entries.get(hub) ?? [0, 0];
    const counted = step > 0 ? ([p + step, n] as const) : ([p, n - step] as const);
    if (step !== 0) entries.set(hub, counted);
    const total = totalOf(entries);
    if (Math.max(...counted, Math.abs(total)) > MAX_INT) {
      throw new InvalidValue("value_range", "a counter stays within ±(2^53-1)");
    }
    return { value: total, stamp: laterStamp(cell, stamp), state: stateOf(epochOf(cell.state), entries) };
  },

  join(column, a, b) {
    const newer = newerOf(a, b);
    if (newer !== undefined) return newer;
    const entries = entriesOf(column, a);
    for (const [name, [p, n]] of entriesOf(column, b)) {
      const own = entries.get(name) ?? [0, 0];
      entries.set(name, [Math.max(own[0], p), Math.max(own[1], n)]);
    }
    // A sum beyond ±(2^53-1) is shown as that limit.
    const value = Math.max(-MAX_INT, Math.min(MAX_INT, totalOf(entries)));
    return { value, stamp: laterStamp(a, b.stamp ?? ""), state: stateOf(epochOf(a.state), entries) };
  },
};

/** The entries as a fresh map, free to change. */
function entriesOf(column: Column, cell: Cell): Entries {
  if (cell.state !== null) {
    const [, written] = cell.state as unknown as [number, Record<string, [number, number]>];
    return new Map(Object.entries(written));
  }
  const start = cell.stamp === null ? Number(defaultOf(column, 0)) : 0;
  if (start === 0) return new Map();
  return new Map([[DEFAULT, start > 0 ? [start, 0] : [0, -start]]]);
}

/** The sum of all p less all n. Exact within ±(2^53-1) and outside beyond: the sum may pass 2^53 on the way. */
function totalOf(entries: Entries): number {
  let total = 0;
  let size = 0;
  for (const [p, n] of entries.values()) {
    total += p - n;
    size += p + n;
  }
  if (size <= MAX_INT) return total;
  let exact = 0n;
  for (const [p, n] of entries.values()) exact += BigInt(p) - BigInt(n);
  return Number(exact);
}

function stateOf(epoch: number, entries: Entries): Wire {
  if (entries.size === 0 && epoch === 1) return null;
  return [epoch, Object.fromEntries([...entries].sort(([a], [b]) => compareText(a, b)))];
}
