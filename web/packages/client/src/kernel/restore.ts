// What becomes of a row at a hub that has lost a part of its history, when a device brings its copy of it back.
//
// Specification: spec/merge.md, section 13. Vectors: spec/vectors/rows/restore.json. All copies of one row come from one
// history, in which each of them is a moment; only what was written since the loss is concurrent with them.
import type { Table, Wire } from "./column";
import { type Conflict, copyRow, join, type Outcome, type Row } from "./row";
import { encodeStamps } from "./stamps";
import { same } from "./values";

/**
 * Join `given`, a device's confirmed copy, into `row`; null or life 0: the hub has nothing of it.
 *
 * A dead copy has no values; its stamps are those that its deleter had seen. The status is "ignored" when the row
 * contains the copy already, else "merged". Commutes with other copies and does nothing the second time. Never changes its
 * arguments.
 */
export function restore(table: Table, row: Row | null, given: Row): Outcome {
  if (row === null || row.life === 0) return { row: copyRow(given), status: "merged", conflicts: [] };
  if (given.life % 2 === 0) {
    return given.life > row.life ? died(table, row, given) : { row, status: "ignored", conflicts: [] };
  }
  const joined = join(table, given, row);
  const conflicts: Conflict[] = [];
  if (row.life % 2 === 0 && given.life < row.life) {
    fill(joined, row, given);
    const unseen = later(given, row.stamps);
    const conflict = { slot: null, mine: unseen, theirs: null } as const;
    if (unseen.size > 0 && table.onDelete === "delete") {
      conflicts.push({ ...conflict, rule: "deleted", winner: "theirs" });
    } else if (unseen.size > 0) {
      joined.life++;
      conflicts.push({ ...conflict, rule: "revived", winner: "mine" });
    }
  }
  if (isSame(joined, row)) return { row, status: "ignored", conflicts: [] };
  return { row: joined, status: "merged", conflicts };
}

/**
 * Take the cells that both have at one stamp from the copy: of a death that came back alone, the row has the stamps that
 * the deleter had seen, but not the values.
 */
function fill(joined: Row, row: Row, given: Row): void {
  given.stamps.forEach((stamp, slot) => {
    if (stamp === null || row.stamps[slot] !== stamp) return;
    joined.values[slot] = given.values[slot] ?? null;
    const state = given.states.get(slot);
    if (state === undefined) joined.states.delete(slot);
    else joined.states.set(slot, state);
  });
}

/**
 * The copy knows of a death that the hub has lost. The cells stay, with the stamps that the deleter had seen; those written
 * since the loss are an edit that he had not seen.
 */
function died(table: Table, row: Row, given: Row): Outcome {
  const unseen = row.life % 2 === 1 ? later(row, given.stamps) : new Map<number, Wire>();
  const conflict = { slot: null, mine: null, theirs: unseen } as const;
  const result = { ...copyRow(row), life: given.life };
  if (unseen.size > 0 && table.onDelete !== "delete") {
    result.life++;
    return { row: result, status: "merged", conflicts: [{ ...conflict, rule: "kept", winner: "theirs" }] };
  }
  row.values.forEach((_, slot) => {
    const stamp = given.stamps[slot] ?? "";
    const own = row.stamps[slot] ?? "";
    result.stamps[slot] = (stamp > own ? stamp : own) || null;
  });
  if (unseen.size === 0) return { row: result, status: "merged", conflicts: [] };
  return { row: result, status: "merged", conflicts: [{ ...conflict, rule: "deleted", winner: "mine" }] };
}

/** The values of `one` in the slots in which it has a later stamp than `other`. */
function later(one: Row, other: readonly (string | null)[]): Map<number, Wire> {
  const found = new Map<number, Wire>();
  one.stamps.forEach((stamp, slot) => {
    if ((stamp ?? "") > (other[slot] ?? "")) found.set(slot, one.values[slot] ?? null);
  });
  return found;
}

function isSame(a: Row, b: Row): boolean {
  return a.life === b.life && encodeStamps(a.stamps) === encodeStamps(b.stamps) && same(cellsOf(a), cellsOf(b));
}

function cellsOf(row: Row): Wire {
  return [row.values, Object.fromEntries(row.states)];
}
