// A schema as the engine reads it: every table with its key, its cells by slot, and what each column takes.
import { HoldfastError } from "../errors";
import type { Column as KernelColumn, Table as KernelTable, Wire } from "../kernel/column";
import { canonicalJson, check, InvalidValue } from "../kernel/values";
import { BUILT_IN } from "./built_in";
import type { ColumnForm, SchemaForm, TableForm } from "./form";
import { limiterOf } from "./stored";

export interface Column extends KernelColumn {
  readonly name: string;
  readonly nullable: boolean;
  readonly form: ColumnForm;
}

/** One table. `key` are the key columns in key order, `cells` the others by slot; `slots` from name to slot. */
export interface Table extends KernelTable {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly key: readonly Column[];
  readonly cells: readonly Column[];
  readonly slots: ReadonlyMap<string, number>;
  readonly form: TableForm;
}

/** A version, a hash, and the tables, the built-in ones at the end. */
export interface Schema {
  readonly version: number;
  readonly hash: string;
  readonly tables: ReadonlyMap<string, Table>;
}

/** The schema of its JSON form; throws `schema_invalid`. */
export function compile(form: SchemaForm): Schema {
  const tables = [...form.tables, ...BUILT_IN].map((table) => [table.name, compileTable(table)] as const);
  return { version: form.version, hash: form.hash, tables: new Map(tables) };
}

/** The table of a schema; throws `unknown_table`. */
export function tableOf(schema: Schema, name: string): Table {
  const found = schema.tables.get(name);
  if (found !== undefined) return found;
  const known = [...schema.tables.keys()].sort().join(", ");
  throw new HoldfastError("unknown_table", `the schema has no table ${name}; it has ${known}`, { table: name });
}

function compileTable(form: TableForm): Table {
  const columns = form.columns.map(compileColumn);
  const byName = new Map(columns.map((column) => [column.name, column]));
  const key = form.key.map((name) => {
    const column = byName.get(name);
    if (column !== undefined) return column;
    throw new HoldfastError("schema_invalid", `table ${form.name} has no column ${name} for its key`);
  });
  const cells = columns.filter((column) => !form.key.includes(column.name));
  const slots = new Map(cells.map((column, slot) => [column.name, slot]));
  return { name: form.name, columns, key, cells, slots, onDelete: form.on_delete, form };
}

/** One column, with the check of everything that it declares. */
export function compileColumn(form: ColumnForm): Column {
  const { name, type, element = "", nullable = false, merge = "register" } = form;
  const limit = form.stored === undefined ? null : limiterOf(form.stored);
  const choices = form.choices && new Set(form.choices.map(canonicalJson));
  const accept = (wire: Wire): Wire => {
    if (wire === null && nullable) return null;
    const checked = check(type, wire, element);
    const value = limit === null ? checked : limit(checked);
    if (choices !== undefined && !choices.has(canonicalJson(value))) {
      throw new InvalidValue("value_choice", `column ${name} allows only ${[...choices].join(", ")}`);
    }
    // The JSON value null is refused where the column is not optional: in a database both are one.
    if (value === null && !nullable) throw new InvalidValue("value_null", `column ${name} is not optional`);
    return value;
  };
  return { name, type, element, nullable, default: form.default, merge, accept, form };
}
