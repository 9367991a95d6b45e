// What the kernel reads of a table and its columns. The compiled schema has this shape.
import type { MergeName } from "./merges/index";

/** A value in wire form. A bigint stands only for an integer beyond ±(2^53-1) that was read from JSON: see checkJson. */
export type Wire = null | boolean | number | bigint | string | readonly Wire[] | { readonly [name: string]: Wire };

/** One non-key column. `default` is a wire value; null and undefined both say that there is none. */
export interface Column {
  readonly type: string;
  readonly element: string;
  readonly default?: Wire | undefined;
  readonly merge: MergeName;
  /** The canonical form of a foreign wire value for this column; throws InvalidValue. */
  accept(value: Wire): Wire;
}

/** One table. `cells` are the non-key columns by slot. */
export interface Table {
  readonly cells: readonly Column[];
  readonly onDelete: "keep_edits" | "delete";
}

/**
 * One column of one row. `stamp` null: never written. `state`: what the merge type needs, null for the initial one.
 * The parts of a cell are never changed in place, so that rows may share them.
 */
export interface Cell {
  readonly value: Wire;
  readonly stamp: string | null;
  readonly state: Wire;
}

/** The value of a cell that nobody wrote: the column's default, or `empty`, that of its merge type, without one. */
export function defaultOf(column: Column, empty: Wire): Wire {
  return column.default ?? empty;
}
