// Rows: what an operation does to one, and how two states of one become one.
//
// Specification: spec/merge.md. Vectors: spec/vectors/rows. The same code decides on the hub and shows on the device what
// the hub would answer.
import { after, originOf } from "./clock";
import { type Cell, type Column, defaultOf, type Table, type Wire } from "./column";
import { BY_NAME, type MergeName } from "./merges/index";
import { mergedText } from "./merges/merge_text";
import { same } from "./values";

/**
 * The state of one row. `life`: 0 never existed, odd alive, even dead (a dead row keeps its cells).
 *
 * `values` and `stamps` by slot, both possibly shorter than the table: missing cells hold the default and no stamp.
 * `states`: slot -> state of the merge type, where it is not the initial one. The contents are never changed in place.
 */
export interface Row {
  life: number;
  values: Wire[];
  stamps: (string | null)[];
  states: Map<number, Wire>;
}

/** Slot -> stamp that the writer had seen: a map in an update, the list of the whole row in a delete. */
export type Base = ReadonlyMap<number, string> | readonly (string | null)[];

/**
 * An operation on one row. `life` is the one that its writer had seen. `changes`: slot -> change in canonical form
 * (`Merge.check`), in the order of the operation. `named`: the stamp that the writer gave, when the hub has replaced it
 * (merge.md, section 6), else empty.
 */
export interface Op {
  readonly kind: "insert" | "update" | "delete";
  readonly key: string;
  readonly stamp: string;
  readonly life: number;
  readonly changes: ReadonlyMap<number, Wire>;
  readonly base: Base;
  readonly named: string;
}

/** Slot -> change or value, or null for the deletion: the two sides of a conflict about the life of a row. */
export type Cells = ReadonlyMap<number, Wire> | null;

/**
 * Two writes, neither of which had seen the other. `winner` is "mine" (the operation) or "theirs" (the row). A merge
 * type has a slot, and the new value against the current one; in the others the cells in question stand against null for the
 * deletion.
 */
export type Conflict =
  | { slot: number; rule: MergeName; mine: Wire; theirs: Wire; winner: "mine" | "theirs" }
  | { slot: null; rule: "revived" | "kept" | "deleted"; mine: Cells; theirs: Cells; winner: "mine" | "theirs" };

/** What became of an operation (merge.md, section 3). */
export interface Outcome {
  readonly row: Row | null;
  readonly status: "applied" | "merged" | "ignored" | "missing";
  readonly conflicts: readonly Conflict[];
}

/** An independent row that shares the (immutable) cells. */
export function copyRow(row: Row): Row {
  return { life: row.life, values: [...row.values], stamps: [...row.stamps], states: new Map(row.states) };
}

/**
 * Apply `op` at `hub` (its id; `PENDING` of the counter on a device) to `row`; null or life 0: it never existed.
 *
 * Never changes `row`. Throws InvalidValue (`value_range`) when a counter would leave its range.
 */
export function apply(table: Table, row: Row | null, op: Op, hub: string): Outcome {
  const exists = row !== null && row.life > 0;
  if (op.kind === "update") return exists ? update(table, row, op, hub) : { row, status: "missing", conflicts: [] };
  if (op.kind === "delete") {
    return row !== null && isAlive(row) ? remove(table, row, op) : { row, status: "ignored", conflicts: [] };
  }
  if (!exists) return outcome(start(table, null, op, hub, oddAfter(op.life)), op, false);
  if (isAlive(row)) return insertAgain(table, row, op, hub);
  const fresh = start(table, row, op, hub, oddAfter(Math.max(row.life, op.life)));
  return outcome(fresh, op, op.life !== row.life);
}

/**
 * Whether a write with `stamp`, whose writer had seen `base`, follows the current stamp of a cell: the four rules of
 * merge.md, section 2; a write that does not follow is concurrent.
 */
export function follows(current: string | null, base: string | null, stamp: string): boolean {
  if (current === null || current === base) return true;
  const origin = originOf(current);
  return origin === originOf(stamp) || (base !== null && origin === originOf(base) && current <= base);
}

/** The least upper bound of two states of one row: the larger life, and cell by cell (merge.md, section 5). */
export function join(table: Table, a: Row, b: Row): Row {
  const result: Row = { life: Math.max(a.life, b.life), values: [], stamps: [], states: new Map() };
  for (let slot = 0; slot < Math.max(a.values.length, b.values.length); slot++) {
    const column = columnAt(table, slot);
    const cellA = cellAt(column, a, slot);
    const cellB = cellAt(column, b, slot);
    if (cellB.stamp === null) put(result, slot, cellA);
    else put(result, slot, cellA.stamp === null ? cellB : BY_NAME[column.merge].join(column, cellA, cellB));
  }
  return result;
}

function outcome(row: Row, op: Op, differs: boolean, conflicts: readonly Conflict[] = []): Outcome {
  // A replaced stamp is a difference by itself: the device must take the row from the hub.
  return { row, status: differs || op.named !== "" ? "merged" : "applied", conflicts };
}

function isAlive(row: Row): boolean {
  return row.life % 2 === 1;
}

function oddAfter(life: number): number {
  return life % 2 === 0 ? life + 1 : life + 2;
}

function columnAt(table: Table, slot: number): Column {
  const column = table.cells[slot];
  if (column === undefined) throw new RangeError(`the table has no slot ${slot}`);
  return column;
}

/** The cell in a slot; the default without a stamp where the row is shorter. */
function cellAt(column: Column, row: Row, slot: number): Cell {
  const isThere = slot < row.values.length;
  return {
    value: isThere ? (row.values[slot] ?? null) : defaultOf(column, BY_NAME[column.merge].empty),
    stamp: row.stamps[slot] ?? null,
    state: isThere ? (row.states.get(slot) ?? null) : null,
  };
}

/** Fill `row` up with defaults to at least `size` cells, and its stamps to as many as its values. */
function lengthen(table: Table, row: Row, size: number): void {
  for (let slot = row.values.length; slot < size; slot++) {
    const column = columnAt(table, slot);
    row.values.push(defaultOf(column, BY_NAME[column.merge].empty));
  }
  while (row.stamps.length < row.values.length) row.stamps.push(null);
}

function put(row: Row, slot: number, cell: Cell): void {
  row.values[slot] = cell.value;
  row.stamps[slot] = cell.stamp;
  if (cell.state === null) row.states.delete(slot);
  else row.states.set(slot, cell.state);
}

/** The row that an insert makes, every cell written; `dead` is the row that it replaces. */
function start(table: Table, dead: Row | null, op: Op, hub: string, life: number): Row {
  const row: Row = { life, values: [], stamps: [], states: new Map() };
  table.cells.forEach((column, slot) => {
    put(row, slot, startCell(column, op, slot, hub, life, dead?.stamps[slot] ?? null));
  });
  return row;
}

/** A new cell. `old` is the stamp of the cell of an earlier life: a register, which has no epoch, must be later. */
function startCell(column: Column, op: Op, slot: number, hub: string, epoch: number, old: string | null): Cell {
  const merge = BY_NAME[column.merge];
  const change =
    op.changes.get(slot) ??
    (op.changes.has(slot) ? null : merge.difference(column, merge.empty, null, defaultOf(column, merge.empty)));
  const isBehind = old !== null && old >= op.stamp && !merge.lossless;
  const stamp = isBehind ? after(old, originOf(op.stamp)) : op.stamp;
  const empty = { value: merge.empty, stamp: null, state: merge.initial(epoch) };
  return merge.apply(column, empty, change, stamp, op.named || op.stamp, hub);
}

/** Two inserts of one key: the changed cells are merged with no base. */
function insertAgain(table: Table, row: Row, op: Op, hub: string): Outcome {
  const result = copyRow(row);
  const conflicts: Conflict[] = [];
  lengthen(table, result, 1 + Math.max(-1, ...op.changes.keys()));
  for (const [slot, change] of op.changes) {
    if (result.stamps[slot] === null) put(result, slot, startCell(columnAt(table, slot), op, slot, hub, 1, null));
    else mergeCell(table, result, slot, op, change, null, hub, conflicts);
  }
  return { row: result, status: "merged", conflicts };
}

function update(table: Table, row: Row, op: Op, hub: string): Outcome {
  const conflicts: Conflict[] = [];
  let differs = op.life !== row.life;
  const result = copyRow(row);
  if (!isAlive(row)) {
    const rule = { slot: null, mine: op.changes, theirs: null };
    if (table.onDelete === "delete") {
      return { row, status: "merged", conflicts: [{ ...rule, rule: "deleted", winner: "theirs" }] };
    }
    conflicts.push({ ...rule, rule: "revived", winner: "mine" });
    result.life++;
  }
  const base = op.base as ReadonlyMap<number, string>;
  lengthen(table, result, 1 + Math.max(-1, ...op.changes.keys()));
  for (const [slot, change] of op.changes) {
    const seen = base.get(slot) ?? null;
    if (mergeCell(table, result, slot, op, change, seen, hub, conflicts)) differs = true;
  }
  return outcome(result, op, differs, conflicts);
}

/** Merge one change into `row`; true when the result is not what the writer saw. */
function mergeCell(
  table: Table,
  row: Row,
  slot: number,
  op: Op,
  change: Wire,
  base: string | null,
  hub: string,
  conflicts: Conflict[],
): boolean {
  const column = columnAt(table, slot);
  const merge = BY_NAME[column.merge];
  const cell = cellAt(column, row, slot);
  const following = follows(cell.stamp, base, op.stamp);
  let stamp = op.stamp;
  let differs = !following;
  if (cell.stamp !== null && !merge.lossless) {
    if (following && stamp <= cell.stamp) {
      // What has seen the current value replaces it, even when its writer's clock is behind.
      stamp = after(cell.stamp, originOf(stamp));
      differs = true;
    } else if (!following && !same(cell.value, change)) {
      const winner = stamp > cell.stamp && !merge.decided ? "mine" : "theirs";
      conflicts.push({ slot, rule: column.merge, mine: change, theirs: cell.value, winner });
    }
    if (!following && merge.decided) return true;
  }
  if (column.merge === "merge_text") {
    const merged = mergedText(cell, change, stamp, op.named || op.stamp, hub);
    if (merged.conflict !== null) conflicts.push({ slot, rule: column.merge, ...merged.conflict });
    put(row, slot, merged.cell);
    return differs;
  }
  put(row, slot, merge.apply(column, cell, change, stamp, op.named || op.stamp, hub));
  return differs;
}

function remove(table: Table, row: Row, op: Op): Outcome {
  const base = op.base as readonly (string | null)[];
  const unseen = new Map<number, Wire>();
  row.stamps.forEach((current, slot) => {
    if (!follows(current, base[slot] ?? null, op.stamp)) unseen.set(slot, row.values[slot] ?? null);
  });
  // Without a written cell only the life tells that somebody else made the row again.
  const madeAgain = op.life < row.life && row.stamps.every((stamp) => stamp === null);
  const differs = unseen.size > 0 || madeAgain;
  const conflict = { slot: null, mine: null, theirs: unseen } as const;
  if (differs && table.onDelete !== "delete") {
    return { row, status: "merged", conflicts: [{ ...conflict, rule: "kept", winner: "theirs" }] };
  }
  const result = { ...copyRow(row), life: row.life + 1 };
  if (differs) return { row: result, status: "merged", conflicts: [{ ...conflict, rule: "deleted", winner: "mine" }] };
  return outcome(result, op, op.life !== row.life);
}
