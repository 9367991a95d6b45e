// Between a row of the kernel and its image on the wire (spec/encoding.md, section 5).
import { type Column, defaultOf, type Table, type Wire } from "../kernel/column";
import type { DocumentMerge } from "../kernel/merges/document";
import { BY_NAME, documentOf } from "../kernel/merges/index";
import type { Row } from "../kernel/row";
import { decodeStamps, encodeStamps } from "../kernel/stamps";
import { InvalidValue } from "../kernel/values";
import type { Image } from "./messages";

/**
 * The kernel's row from an image of a table with `keySize` key columns. A dead image has no cells: where it has stamps,
 * the row gets the defaults, since an operation that waits may bring it back before the hub says what it was. Throws
 * InvalidValue (`value_format`) for row stamps that are not in canonical form.
 */
export function rowOf(table: Table, keySize: number, image: Image): Row {
  const [, life, written, stampsText, states] = image;
  const stamps = decodeStamps(stampsText);
  const values = written.slice(keySize);
  if (life % 2 === 0) fillUp(table, values, stamps.length);
  return { life, values, stamps, states: bySlot(states) };
}

/** The image of a row, with its cells whether it lives or not. */
export function imageOf(table: string, keyValues: readonly Wire[], row: Row): Image {
  const states = Object.fromEntries([...row.states].map(([slot, state]) => [String(slot), state]));
  return [table, row.life, [...keyValues, ...row.values], encodeStamps(row.stamps), states, null];
}

/**
 * The row that a patch makes of the one before it, which is not changed. Throws InvalidValue (`value_format`) for row
 * stamps that are not in canonical form.
 */
export function patched(table: Table, keySize: number, before: Row, image: Image): Row {
  const [, life, written, stampsText, states, slots] = image;
  const named = slots ?? [];
  const row: Row = { life, values: [...before.values], stamps: decodeStamps(stampsText), states: bySlot(states) };
  fillUp(table, row.values, Math.max(-1, ...named) + 1);
  named.forEach((slot, place) => {
    row.values[slot] = written[keySize + place] ?? null;
  });
  table.cells.forEach((column, slot) => {
    const merge = documentOf(column);
    if (merge !== undefined) addToDocument(merge, column, slot, before, row, named.includes(slot));
  });
  return row;
}

/** What a patch says of one document: what was added to it, or nothing, when it stands as it stood. */
function addToDocument(
  merge: DocumentMerge,
  column: Column,
  slot: number,
  before: Row,
  row: Row,
  isNamed: boolean,
): void {
  const [old, state] = [before.states.get(slot) ?? null, row.states.get(slot) ?? null];
  if (!isNamed) {
    if (old !== null) row.states.set(slot, old);
    return;
  }
  const updates = state === null ? null : (state as [number, string | string[]])[1];
  if (!Array.isArray(updates)) return;
  const stamp = row.stamps[slot] ?? "";
  const known = { value: null, stamp: before.stamps[slot] ?? null, state: old };
  const cell = merge.extended(column, known, updates, stamp);
  if (cell.stamp !== stamp) {
    throw new InvalidValue("document_gap", "what was added to a document does not make it what it should be");
  }
  row.values[slot] = cell.value;
  if (cell.state === null) row.states.delete(slot);
  else row.states.set(slot, cell.state);
}

/** Give `values` the defaults of the cells that it lacks, up to `size` cells. */
function fillUp(table: Table, values: Wire[], size: number): void {
  for (const column of table.cells.slice(values.length, size)) {
    values.push(defaultOf(column, BY_NAME[column.merge].empty));
  }
}

function bySlot(states: Readonly<Record<string, Wire>>): Map<number, Wire> {
  return new Map(Object.entries(states).map(([slot, state]) => [Number(slot), state]));
}
