// Between a row of the kernel and its image on the wire (spec/encoding.md, section 5).
import { defaultOf, type Table, type Wire } from "../kernel/column";
import { BY_NAME } from "../kernel/merges/index";
import type { Row } from "../kernel/row";
import { decodeStamps, encodeStamps } from "../kernel/stamps";
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
  const values = [...before.values];
  fillUp(table, values, Math.max(-1, ...named) + 1);
  named.forEach((slot, place) => {
    values[slot] = written[keySize + place] ?? null;
  });
  return { life, values, stamps: decodeStamps(stampsText), states: bySlot(states) };
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
