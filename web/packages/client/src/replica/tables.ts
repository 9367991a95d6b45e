// The tables of a device, as the engine reads and writes their rows.
import type { Wire } from "../kernel/column";
import { defaultOf } from "../kernel/column";
import { BY_NAME } from "../kernel/merges/index";
import type { Row } from "../kernel/row";
import { decodeStamps, encodeStamps } from "../kernel/stamps";
import { rowOf } from "../protocol/images";
import type { Image } from "../protocol/messages";
import type { Column, Schema, Table } from "../schema/compile";
import { keyText } from "../schema/key";
import { type Queue, queueOf } from "../schema/queue";
import { entryOf, indexesOf } from "./entries";
import { SlotOrder } from "./slots";

/** A row's table and key as one text, under which the database has it. No name of a table and no key holds U+0000. */
export type RowName = string;

export function rowName(table: string, key: string): RowName {
  return `${table}\0${key}`;
}

/** Table and key of a name. */
export function nameParts(name: RowName): [table: string, key: string] {
  const end = name.indexOf("\0");
  return [name.slice(0, end), name.slice(end + 1)];
}

/** What the hub says of the columns of each table: their names by slot. */
export interface Layout {
  readonly hash: string;
  readonly tables: Readonly<Record<string, readonly string[]>>;
  /** Tables of other versions of the schema, which this device does not have. */
  readonly keys: Readonly<Record<string, number>>;
}

/** A row as the database holds it: stamps as text, states by slot where there are any. */
export interface StoredRow {
  readonly life: number;
  readonly values: readonly Wire[];
  readonly stamps: string;
  readonly states?: ReadonlyMap<number, Wire>;
}

/** One table with its indexes and, where the hub's rows have other columns, their order. */
export class UserTable {
  readonly indexes: readonly (readonly Column[])[];
  readonly order: SlotOrder | null;
  readonly queue: Queue;
  readonly uploadOnly: boolean;
  /** How many slots the hub's rows have. */
  readonly width: number;
  private readonly single: boolean;
  private readonly atSlot: readonly (Column | null)[];

  constructor(
    readonly table: Table,
    layout: Layout | null,
  ) {
    this.indexes = indexesOf(table);
    const own = table.cells.map(({ name }) => name);
    const names = layout?.tables[table.name];
    const same = names === undefined || (names.length === own.length && names.every((name, i) => name === own[i]));
    this.order = same ? null : new SlotOrder(names, own);
    this.queue = queueOf(table.form);
    this.uploadOnly = this.queue.direction === "upload";
    this.single = table.key.length === 1;
    const byName = new Map(table.cells.map((column) => [column.name, column]));
    this.atSlot = (names ?? own).map((name) => byName.get(name) ?? null);
    this.width = this.atSlot.length;
  }

  /** The key of a row of the hub from its values, which begin with those of the key. */
  keyOf(values: readonly Wire[]): string {
    const [first] = values;
    return this.single && typeof first === "string"
      ? first
      : keyText(this.table, values.slice(0, this.table.key.length));
  }

  /** The column in a slot of the hub; null where this version has none. */
  columnAt(slot: number): Column | null {
    return this.atSlot[slot] ?? null;
  }

  /** The entries of a living row in each index. */
  entriesOf(keyValues: readonly Wire[], cells: readonly Wire[]): string[] {
    return this.indexes.map((columns) =>
      entryOf(
        columns,
        columns.map((column) => this.valueIn(column, keyValues, cells)),
      ),
    );
  }

  /** A column's value in a row. */
  valueIn(column: Column, keyValues: readonly Wire[], cells: readonly Wire[]): Wire {
    const slot = this.table.slots.get(column.name);
    if (slot === undefined) return keyValues[this.table.key.indexOf(column)] ?? null;
    return slot < cells.length ? (cells[slot] ?? null) : defaultOf(column, BY_NAME[column.merge].empty);
  }

  /** The cells of a whole living image in our order, for reading; short where the row is older than its table. */
  cellsOf(image: Image): Wire[] {
    const cells = image[2].slice(this.table.key.length);
    return this.order === null ? cells : this.order.values(cells, this.defaults());
  }

  /** The kernel's row from an image of the hub, in our order. */
  rowOf(image: Image): Row {
    if (this.order === null) return rowOf(this.table, this.table.key.length, image);
    return rowOf(this.table, this.table.key.length, this.inOwnOrder(image, this.order));
  }

  /** An image of the hub with its cells in our order; a slot that we do not have is left out, but for its stamp. */
  inOwnOrder(image: Image, order: SlotOrder | null = this.order): Image {
    if (order === null) return image;
    const keys = this.table.key.length;
    const [table, life, values, stamps, states, slots] = image;
    const own = encodeStamps(order.ownStamps(decodeStamps(stamps)));
    const bySlot = new Map(Object.entries(states).map(([slot, state]) => [Number(slot), state]));
    const moved = Object.fromEntries([...order.ownStates(bySlot)].map(([slot, state]) => [String(slot), state]));
    if (slots === null) {
      const cells = life % 2 === 1 ? order.values(values.slice(keys), this.defaults()) : [];
      return [table, life, [...values.slice(0, keys), ...cells], own, moved, null];
    }
    const found = slots.flatMap((slot, place) => {
      const mine = order.ownSlot(slot);
      return mine === null ? [] : [[mine, values[keys + place] ?? null] as const];
    });
    found.sort(([a], [b]) => a - b);
    const cells = [...values.slice(0, keys), ...found.map(([, value]) => value)];
    return [table, life, cells, own, moved, found.map(([slot]) => slot)];
  }

  /** A confirmed row as the database holds it: stamps and states in the hub's order. */
  stored(row: Row): StoredRow {
    const { order } = this;
    const stamps = encodeStamps(order === null ? row.stamps : order.hubStamps(row.stamps));
    const states = order === null ? row.states : order.hubStates(row.states);
    return states.size > 0
      ? { life: row.life, values: row.values, stamps, states }
      : { life: row.life, values: row.values, stamps };
  }

  /** A confirmed row of the database. */
  loaded(stored: StoredRow): Row {
    const [stamps, states] = [decodeStamps(stored.stamps), new Map(stored.states)];
    const { order } = this;
    const row = { life: stored.life, values: [...stored.values] };
    if (order === null) return { ...row, stamps, states };
    return { ...row, stamps: order.ownStamps(stamps), states: order.ownStates(states) };
  }

  private defaults(): Wire[] {
    return this.table.cells.map((column) => defaultOf(column, BY_NAME[column.merge].empty));
  }
}

/** All tables of a schema, with the layout that the hub has sent last. */
export class UserTables {
  private layout: Layout | null = null;
  private readonly byName = new Map<string, UserTable>();

  constructor(readonly schema: Schema) {
    this.take(null);
  }

  /** Use another layout from now on. */
  take(layout: Layout | null): void {
    if (layout !== null && layout.hash === this.layout?.hash) return;
    if (layout === null && this.byName.size > 0) return;
    this.layout = layout;
    for (const [name, table] of this.schema.tables) this.byName.set(name, new UserTable(table, layout));
  }

  find(name: string): UserTable | undefined {
    return this.byName.get(name);
  }

  /** A table that is known to be there. */
  get(name: string): UserTable {
    const found = this.byName.get(name);
    if (found === undefined) throw new RangeError(`no table ${name}`);
    return found;
  }

  /** Whether the hub's rows have the columns of this schema, in their order, and no others. */
  get inOrder(): boolean {
    return [...this.byName.values()].every(({ order }) => order === null);
  }

  /** Whether it is a table of another version of the schema, whose rows are not for this device. */
  isForeign(name: string): boolean {
    return this.layout !== null && Object.hasOwn(this.layout.keys, name);
  }

  /** The templates of the spaces that are only written. */
  get uploadTemplates(): string[] {
    const tables = [...this.byName.values()].filter(({ uploadOnly }) => uploadOnly);
    return [...new Set(tables.map(({ table }) => table.form.space).filter((space) => typeof space === "string"))];
  }

  /** The classes of the upload queue by name. */
  get queues(): Map<string, Queue> {
    return new Map([...this.byName.values()].map(({ queue }) => [queue.name, queue]));
  }

  all(): Iterable<UserTable> {
    return this.byName.values();
  }
}
