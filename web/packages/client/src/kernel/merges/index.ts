// The merge types, one file each. Specification: spec/merge.md, section 4. Vectors: spec/vectors/merges.
import type { Cell, Column, Wire } from "../column";
import { counter } from "./counter";
import { decided } from "./decided";
import type { DocumentMerge } from "./document";
import { earliest, latest } from "./extremum";
import { growSet } from "./grow_set";
import { jsonDocument } from "./json_document";
import { mergeText } from "./merge_text";
import { orSet } from "./orset";
import { register } from "./register";
import { text } from "./text";

export type MergeName =
  | "register"
  | "counter"
  | "set"
  | "grow_set"
  | "earliest"
  | "latest"
  | "server_wins"
  | "review"
  | "custom"
  | "text"
  | "json"
  | "merge_text";

/** What a merge type does: pure functions. */
export interface Merge {
  /** Concurrent changes are all kept, so that they never make a conflict. */
  readonly lossless: boolean;
  /** Of concurrent changes the one that stands stays until somebody decides otherwise. */
  readonly decided: boolean;
  /** The value before any change. */
  readonly empty: Wire;
  /** The state of a cell that an insert starts in a row whose new life is `epoch`. */
  initial(epoch: number): Wire;
  /** The canonical form of a foreign change; throws InvalidValue. */
  check(column: Column, change: Wire): Wire;
  /** The change that writing the plain value `newValue` stands for. */
  difference(column: Column, oldValue: Wire, oldState: Wire, newValue: Wire): Wire;
  /** The cell after a change; `dot` is the stamp as the writer named it. Throws InvalidValue (`value_range`). */
  apply(column: Column, cell: Cell, change: Wire, stamp: string, dot: string, hub: string): Cell;
  /** The least upper bound of two written cells. */
  join(column: Column, a: Cell, b: Cell): Cell;
}

export const BY_NAME: Readonly<Record<MergeName, Merge>> = {
  register,
  counter,
  set: orSet,
  grow_set: growSet,
  earliest,
  latest,
  server_wins: decided,
  review: decided,
  custom: decided,
  text,
  json: jsonDocument,
  merge_text: mergeText,
};

/** The merge type of a document column, undefined for any other. */
export function documentOf(column: Column): DocumentMerge | undefined {
  return column.merge === "text" ? text : column.merge === "json" ? jsonDocument : undefined;
}
