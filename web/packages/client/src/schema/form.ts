// A compiled schema as JSON, as `holdfast codegen ts` writes it and Python's Schema.to_json() makes it.
import type { Wire } from "../kernel/column";
import type { MergeName } from "../kernel/merges/index";

export type ScalarType =
  "text" | "int" | "bigint" | "float" | "bool" | "bytes" | "date" | "datetime" | "decimal" | "uuid" | "json";

/**
 * One column. `generate`: who fills it in by itself, "uuid7", "now" or "block" (the next number of a leased block of
 * `block`). `stored`: its type in the hub's database where that is not the natural one. A `read_only` column is made there.
 */
export interface ColumnForm {
  readonly name: string;
  readonly type: ScalarType | "set";
  readonly element?: ScalarType;
  readonly nullable?: boolean;
  readonly default?: Wire;
  readonly merge?: MergeName;
  readonly choices?: readonly Wire[];
  readonly generate?: "uuid7" | "now" | "block";
  readonly stored?: string;
  readonly read_only?: boolean;
  readonly block?: number;
  readonly function?: string;
}

export interface ForeignKeyForm {
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parent_columns: readonly string[];
  readonly on_delete: "restrict" | "cascade" | "set_null";
}

/** One table. `space`: a template over the columns, or the foreign key whose row says where a row lives. */
export interface TableForm {
  readonly name: string;
  readonly columns: readonly ColumnForm[];
  readonly key: readonly string[];
  readonly space: string | { readonly via: readonly string[]; readonly root?: string };
  readonly on_delete: "keep_edits" | "delete";
  readonly priority: number;
  readonly indexes: readonly (readonly string[])[];
  readonly unique: readonly (readonly string[])[];
  readonly foreign_keys: readonly ForeignKeyForm[];
  readonly queue?: Readonly<Record<string, Wire>>;
  readonly on_unique?: "rename" | "review";
  readonly on_parent_deleted?: "revive" | "null" | "cascade";
  readonly history?: number;
}

/** A schema. `Tables` is what its rows look like; it has no value. */
export interface SchemaForm<Tables = unknown> {
  readonly version: number;
  readonly hash: string;
  readonly tables: readonly TableForm[];
  readonly rows?: Tables;
}

/** Adds to a counter; what others add meanwhile is added, too. */
export interface Increment {
  readonly increment: number;
}

/** Puts elements into a set and takes others out, whatever else it holds. */
export interface SetChange<Element> {
  readonly add?: readonly Element[];
  readonly remove?: readonly Element[];
}

/** Puts elements into a set that only grows. */
export interface SetGrowth<Element> {
  readonly add: readonly Element[];
}

/** A value of a JSON column. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
