// What a transaction depends on: which others must reach the hub before it.
//
// Two transactions conflict when both touch one thing and at least one of them changes it; then the later one must not
// overtake the earlier one. The things are rows, the rows that a row refers to by a foreign key, and values of unique
// columns (which one frees and another takes). Orders that keep all conflicts give the same result (conflict
// serializability: Papadimitriou, The serializability of concurrent database updates, 1979).
import type { Wire } from "../kernel/column";
import type { Row } from "../kernel/row";
import { canonicalJson } from "../kernel/values";
import type { ForeignKeyForm } from "../schema/form";
import { keyText, keyValues } from "../schema/key";
import type { TransactionRecord } from "./file";
import { rowName, type UserTable, type UserTables } from "./tables";

/** A row, or values of unique columns, as one text. No key of a row begins with U+0000. */
export type Thing = string;

/** What the states of one row, before and after a change, depend on beside the row itself. */
export interface Uses {
  readonly wrote: readonly Thing[];
  readonly read: readonly Thing[];
}

/** What a living row depends on: its unique values, and the rows that it refers to. */
export function usesOf(tables: UserTables, user: UserTable, key: string, row: Row | null): Uses {
  const { form } = user.table;
  if (row === null || row.life % 2 === 0 || (form.unique.length === 0 && form.foreign_keys.length === 0)) {
    return { wrote: [], read: [] };
  }
  const keys = keyValues(user.table, key);
  const byName = new Map(user.table.columns.map((column) => [column.name, user.valueIn(column, keys, row.values)]));
  const valuesOf = (names: readonly string[]): Wire[] | null => {
    const values = names.map((name) => byName.get(name) ?? null);
    return values.includes(null) ? null : values;
  };
  const wrote = form.unique.flatMap((names, part) => {
    const values = valuesOf(names);
    return values === null ? [] : [uniqueName(user.table.name, part, values)];
  });
  const read = form.foreign_keys.flatMap((reference) => {
    const values = valuesOf(reference.columns);
    return values === null ? [] : [referred(tables, reference, values)];
  });
  return { wrote, read };
}

function uniqueName(table: string, part: number, values: readonly Wire[]): Thing {
  return rowName(table, `\0${part}\0${canonicalJson(values)}`);
}

/** The row, or the unique value, to which a reference leads. */
function referred(tables: UserTables, reference: ForeignKeyForm, values: readonly Wire[]): Thing {
  const { table } = tables.get(reference.parent);
  const given = new Map(reference.parent_columns.map((name, place) => [name, values[place] ?? null]));
  const inOrder = (names: readonly string[]): Wire[] => names.map((name) => given.get(name) ?? null);
  const isAll = (names: readonly string[]): boolean =>
    names.length === given.size && names.every((name) => given.has(name));
  if (isAll(table.form.key)) return rowName(table.name, keyText(table, inOrder(table.form.key)));
  const part = table.form.unique.findIndex(isAll);
  return uniqueName(table.name, part, inOrder(table.form.unique[part] ?? []));
}

/** A transaction as one that depends on others: its number, and what it touches. */
export type Touching = Pick<TransactionRecord, "rows" | "uses" | "values"> & { readonly txn: number };

/** Transaction -> those that must go before it; direct ones only. The transactions are given oldest first. */
export function needs(records: Iterable<Touching>): Map<number, Set<number>> {
  const found = new Map<number, Set<number>>();
  const writers = new Map<Thing, number>();
  const readers = new Map<Thing, number[]>();
  for (const { txn, rows, uses, values = [] } of records) {
    const earlier = new Set<number>();
    const note = (other: number | undefined): void => {
      if (other !== undefined && other !== txn) earlier.add(other);
    };
    const written = new Set([...rows, ...values]);
    for (const thing of uses) {
      note(writers.get(thing));
      if (!written.has(thing)) readers.set(thing, [...(readers.get(thing) ?? []), txn]);
    }
    for (const thing of written) {
      note(writers.get(thing));
      for (const reader of readers.get(thing) ?? []) note(reader);
      writers.set(thing, txn);
      readers.delete(thing);
    }
    if (earlier.size > 0) found.set(txn, earlier);
  }
  return found;
}

/** All that needs one of those, directly or through others, oldest first; not they themselves. */
export function dependants(edges: ReadonlyMap<number, ReadonlySet<number>>, given: Iterable<number>): number[] {
  const first = new Set(given);
  const found = new Set(first);
  // A transaction never needs a later one, so one pass in order finds all.
  for (const txn of [...edges.keys()].sort((a, b) => a - b)) {
    if ([...(edges.get(txn) ?? [])].some((earlier) => found.has(earlier))) found.add(txn);
  }
  return [...found].filter((txn) => !first.has(txn)).sort((a, b) => a - b);
}
