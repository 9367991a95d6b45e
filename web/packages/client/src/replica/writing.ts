// What an application writes, as operations with the stamps that it had seen. Capture and sealing are one step here:
// no other program writes in a browser's database.
import { HoldfastError } from "../errors";
import { newId } from "../ids";
import { EPOCH_MS, stamp as stampOf, tick, unpack } from "../kernel/clock";
import type { Wire } from "../kernel/column";
import { BY_NAME, documentOf } from "../kernel/merges/index";
import { apply, type Row } from "../kernel/row";
import { encodeStamps } from "../kernel/stamps";
import { canonicalJson, InvalidValue, membersOf, same } from "../kernel/values";
import { PENDING } from "../kernel/merges/counter";
import { type AppValue, appValueOf, wireOf } from "../schema/app_values";
import type { Column } from "../schema/compile";
import { keyText, keyValues } from "../schema/key";
import { mostUrgent, type Queue } from "../schema/queue";
import { type Thing, usesOf } from "./dependencies";
import type { RowName, UserTable } from "./tables";
import { rowName } from "./tables";
import { type Known, localOperation, type Operation, type Work } from "./work";

/** Values as an application gives them, by column. */
export type Given = Readonly<Record<string, unknown>>;
/** A row as an application reads it. */
export type AppRow = Record<string, AppValue>;

/** The device's clock in milliseconds since 2020-01-01 UTC. */
export function deviceClock(): number {
  return Date.now() - EPOCH_MS;
}

export class Writer {
  readonly operations: Operation[] = [];
  private readonly names = new Set<RowName>();
  private readonly uses = new Set<Thing>();
  private readonly values = new Set<Thing>();
  private readonly queues: Queue[] = [];

  constructor(
    readonly work: Work,
    private readonly origin: string,
  ) {}

  /** Insert a row, or write it over the one with its key; gives the key. */
  async put(user: UserTable, given: Given): Promise<string> {
    onlyColumns(user, given, user.table.columns);
    const values = user.table.key.map((column) => checked(user, column, this.keyValue(user, column, given)));
    const key = keyText(user.table, values);
    const known = await this.work.row(rowName(user.table.name, key));
    const alive = isAlive(known.shown);
    if (alive) await this.update(user, key, cellsOf(user, given));
    else this.insert(user, known, given);
    return key;
  }

  /** Change columns of a row; throws `row_missing` when there is none. */
  async update(user: UserTable, key: string, given: Given): Promise<void> {
    onlyColumns(user, given, user.table.cells);
    const known = await this.work.row(rowName(user.table.name, key));
    const seen = known.shown;
    if (seen === null || !isAlive(seen)) {
      const says = `${user.table.name} has no row ${JSON.stringify(key)} on this device; put it instead`;
      throw new HoldfastError("row_missing", says, { table: user.table.name, key });
    }
    const [set, base]: [Record<string, Wire>, Record<string, string>] = [{}, {}];
    for (const [name, value] of Object.entries(given)) {
      const slot = user.table.slots.get(name) as number;
      const column = user.table.cells[slot] as Column;
      const current = user.valueIn(column, [], seen.values);
      const wire = checked(user, column, valueOf(column, value, current));
      if (same(wire, current)) continue;
      set[name] = this.change(user, column, current, seen.states.get(slot) ?? null, wire);
      const stamp = seen.stamps[slot];
      if (stamp) base[name] = stamp;
    }
    if (Object.keys(set).length === 0) return;
    this.move(known, { op: "update", table: user.table.name, key, stamp: this.stamp(), life: seen.life, set, base });
  }

  /** Delete a row; false when there is none. */
  async delete(user: UserTable, key: string): Promise<boolean> {
    const known = await this.work.row(rowName(user.table.name, key));
    const seen = known.shown;
    if (seen === null || !isAlive(seen)) return false;
    const stamps = user.order === null ? seen.stamps : user.order.hubStamps(seen.stamps);
    const rest = { table: user.table.name, key, life: seen.life, base: encodeStamps(stamps) };
    this.move(known, { op: "delete", stamp: this.stamp(), ...rest });
    return true;
  }

  /** Put what was written into the outbox. Gives whether there is anything. */
  end(label: string): boolean {
    if (this.operations.length === 0) return false;
    const size = this.operations.reduce((sum, op) => sum + canonicalJson(op as unknown as Wire).length, 0);
    const [captured] = unpack(this.work.state.hlc);
    const rows = [...this.names];
    const ops = this.operations as unknown as readonly Wire[];
    const outbox = { state: "pending", attempts: 0, error: "", notBefore: 0 } as const;
    const uses = [...this.uses].filter((name) => !this.names.has(name));
    const queue = mostUrgent(this.queues).name;
    this.work.add({ ...outbox, label, captured, size, ops, rows, uses, values: [...this.values], queue });
    return true;
  }

  private insert(user: UserTable, known: Known, given: Given): void {
    const life = known.shown?.life ?? 0;
    const set: Record<string, Wire> = {};
    for (const column of user.table.cells) {
      const { name } = column;
      const value = given[name] ?? (given[name] === undefined ? generated(column) : null);
      if (value === undefined) {
        if (column.default === undefined && !column.nullable && column.merge === "register") {
          throw new HoldfastError("not_null", `${user.table.name}.${name} has no default: give a value`, {
            column: name,
          });
        }
        continue;
      }
      const merge = BY_NAME[column.merge];
      const wire = checked(user, column, valueOf(column, value, merge.empty));
      if (column.default !== undefined && same(wire, column.default)) continue;
      const state = documentOf(column) === undefined ? null : merge.initial(life % 2 === 0 ? life + 1 : life + 2);
      set[name] = this.change(user, column, merge.empty, state, wire);
    }
    this.move(known, { op: "insert", table: user.table.name, key: known.key, stamp: this.stamp(), life, set });
  }

  private keyValue(user: UserTable, column: Column, given: Given): unknown {
    const value = given[column.name] ?? generated(column);
    if (value !== undefined) return value;
    const says = `${user.table.name}.${column.name} is the key: give a value`;
    throw new HoldfastError("value_null", says, { table: user.table.name, column: column.name });
  }

  private change(user: UserTable, column: Column, old: Wire, state: Wire, value: Wire): Wire {
    return coded(user, column, () => {
      const document = documentOf(column);
      if (document !== undefined) return document.edit(column, old, state, value, this.origin);
      return BY_NAME[column.merge].difference(column, old, state, value);
    });
  }

  private stamp(): string {
    const { hlc, clockOffset } = this.work.state;
    const next = tick(hlc, deviceClock() + clockOffset);
    this.work.set({ hlc: next });
    return stampOf(next, this.origin);
  }

  /** Move the row on by the operation, and note the operation. */
  private move(known: Known, operation: Operation): void {
    const { user } = known;
    const op = localOperation(user, operation);
    const outcome = coded(user, null, () => apply(user.table, known.shown, op, PENDING));
    this.note(user, known.key, known.shown, outcome.row);
    known.shown = outcome.row;
    known.waits = true;
    this.work.change(known);
    this.operations.push(operation);
    this.names.add(known.name);
    this.queues.push(user.queue);
  }

  /** What the states of a row depend on, the transaction depends on, too. */
  private note(user: UserTable, key: string, ...rows: (Row | null)[]): void {
    for (const row of rows) {
      const { wrote, read } = usesOf(this.work.tables, user, key, row);
      for (const thing of wrote) this.values.add(thing);
      for (const thing of read) this.uses.add(thing);
    }
  }
}

export function isAlive(row: Row | null): boolean {
  return row !== null && row.life % 2 === 1;
}

/** The columns of a living row as an application reads them. */
export function appRow(user: UserTable, key: string, cells: readonly Wire[]): AppRow {
  const values = keyValues(user.table, key);
  return Object.fromEntries(
    user.table.columns.map((column) => [
      column.name,
      appValueOf(column.type, user.valueIn(column, values, cells), column.element),
    ]),
  );
}

/** The key text for what an application gives as a key: a value, an array of them, or the text itself. */
export function keyFrom(user: UserTable, given: unknown): string {
  const parts = user.table.key.length === 1 ? [given] : given;
  if (!Array.isArray(parts) || parts.length !== user.table.key.length) {
    const names = user.table.key.map(({ name }) => name).join(", ");
    throw new HoldfastError("value_format", `a key of ${user.table.name} is [${names}]`, { table: user.table.name });
  }
  return keyText(
    user.table,
    user.table.key.map((column, place) => checked(user, column, (parts as unknown[])[place])),
  );
}

/** A value of a column in canonical wire form; throws HoldfastError with the code of what is wrong. */
export function checked(user: UserTable, column: Column, value: unknown): Wire {
  return coded(user, column, () => column.accept(wireOf(column.type, value, column.element)));
}

function coded<T>(user: UserTable, column: Column | null, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    const name = column === null ? user.table.name : `${user.table.name}.${column.name}`;
    throw new HoldfastError(error.code, `${name}: ${error.message}`, {
      table: user.table.name,
      column: column?.name ?? "",
    });
  }
}

function generated(column: Column): unknown {
  if (column.form.generate === "uuid7") return newId();
  if (column.form.generate === "now") return new Date().toISOString();
  return undefined;
}

/** The plain value that is meant by an increment or by a change of a set; any other value as it is. */
function valueOf(column: Column, value: unknown, current: Wire): unknown {
  if (column.merge === "counter") {
    const by = membersOf(value)?.["increment"];
    return typeof by === "number" ? Number(current) + by : value;
  }
  const isSet = column.merge === "set" || column.merge === "grow_set";
  if (!isSet || value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Set)
    return value;
  const { add = [], remove = [] } = value as { add?: readonly unknown[]; remove?: readonly unknown[] };
  const gone = wireOf("set", [...remove], column.element) as readonly Wire[];
  const more = wireOf("set", [...add], column.element) as readonly Wire[];
  const kept = ((current ?? []) as readonly Wire[]).filter((item) => !gone.some((other) => same(item, other)));
  return appValueOf("set", [...kept, ...more], column.element);
}

function cellsOf(user: UserTable, given: Given): Given {
  return Object.fromEntries(Object.entries(given).filter(([name]) => user.table.slots.has(name)));
}

function onlyColumns(user: UserTable, given: Given, columns: readonly Column[]): void {
  for (const name of Object.keys(given)) {
    const column = columns.find((one) => one.name === name);
    if (column === undefined) {
      const known = columns.map((one) => one.name).join(", ");
      const says = `${user.table.name} has no column ${name} to write; it has ${known}`;
      throw new HoldfastError("unknown_column", says, { table: user.table.name, column: name });
    }
    if (column.form.read_only === true) {
      const says = `${user.table.name}.${name} is made by the hub's database: leave it out`;
      throw new HoldfastError("column_read_only", says, { table: user.table.name, column: name });
    }
  }
}
