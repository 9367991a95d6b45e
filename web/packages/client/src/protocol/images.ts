// Between a row of the kernel and its image on the wire (spec/encoding.md, section 5).
import type { Wire } from "../kernel/column";
import type { Row } from "../kernel/row";
import { decodeStamps, encodeStamps } from "../kernel/stamps";
import type { Image } from "./messages";

/**
 * The kernel's row from an image of a table with `keySize` key columns. A dead image has no cells: its row has none
 * either. Throws InvalidValue (`value_format`) for row stamps that are not in canonical form.
 */
export function rowOf(keySize: number, image: Image): Row {
  const [, life, values, stamps, written] = image;
  const states = new Map(Object.entries(written).map(([slot, state]) => [Number(slot), state]));
  return { life, values: values.slice(keySize), stamps: decodeStamps(stamps), states };
}

/** The image of a row, with its cells whether it lives or not. */
export function imageOf(table: string, keyValues: readonly Wire[], row: Row): Image {
  const states = Object.fromEntries([...row.states].map(([slot, state]) => [String(slot), state]));
  return [table, row.life, [...keyValues, ...row.values], encodeStamps(row.stamps), states, null];
}
