// One transaction of the engine: the rows that it has read, and what it will write. Everything is written in one go at
// the end, so that a transaction that IndexedDB ended too early has written nothing.
import type { Wire } from "../kernel/column";
import { PENDING } from "../kernel/merges/counter";
import { apply, type Op, type Row } from "../kernel/row";
import { decodeStamps, encodeStamps } from "../kernel/stamps";
import type { Delete, Insert, Update } from "../protocol/messages";
import { keyValues } from "../schema/key";
import type { Directory, MovedRecord, Place } from "./directory";
import type { DeviceState, RowRecord, SpaceRecord, TransactionRecord } from "./file";
import { answer } from "./idb";
import { nameParts, type RowName, type StoredRow, type UserTable, type UserTables } from "./tables";

export type Operation = Insert | Update | Delete;

/** A row as one transaction sees it. `waits`: operations wait on it, and `shown` is what they make of `confirmed`. */
export interface Known {
  readonly name: RowName;
  readonly user: UserTable;
  readonly key: string;
  space: string;
  confirmed: Row | null;
  shown: Row | null;
  waits: boolean;
  /** Where it stands in a chunk; else it is a record, or not there. */
  readonly place: Place | null;
  readonly isRecord: boolean;
}

/** The row with the operations over it. An update of a row that is not there leaves nothing to see. */
export function fold(user: UserTable, confirmed: Row | null, ops: Iterable<Op>, hub = PENDING): Row | null {
  let row = confirmed;
  for (const op of ops) row = apply(user.table, row, op, hub).row;
  return row;
}

/** The kernel's operation for one of our own, whose values were checked when it was made. */
export function localOperation(user: UserTable, op: Operation): Op {
  const { key, stamp, life } = op;
  const rest = { key, stamp, life, named: "" };
  if (op.op === "delete") {
    const base = decodeStamps(op.base);
    return { ...rest, kind: "delete", changes: new Map(), base: user.order?.ownStamps(base) ?? base };
  }
  const changes = new Map(Object.entries(op.set).map(([name, change]) => [slotOf(user, name), change]));
  if (op.op === "insert") return { ...rest, kind: "insert", changes, base: new Map() };
  const base = new Map(Object.entries(op.base).map(([name, seen]) => [slotOf(user, name), seen]));
  return { ...rest, kind: "update", changes, base };
}

function slotOf(user: UserTable, name: string): number {
  return user.table.slots.get(name) ?? Infinity;
}

/** A row as it is shown: in our own order, which the operations that wait have made it in. */
function storedShown(row: Row | null): StoredRow | null {
  if (row === null) return null;
  const { life, values, states } = row;
  return { life, values, stamps: encodeStamps(row.stamps), states };
}

function loadedShown(stored: StoredRow | null): Row | null {
  if (stored === null) return null;
  const { life, values, stamps, states } = stored;
  return { life, values: [...values], stamps: decodeStamps(stamps), states: new Map(states) };
}

export class Work {
  private readonly rows = new Map<RowName, Known>();
  private readonly changed = new Set<RowName>();
  private readonly transactions: TransactionRecord[] = [];
  private readonly withChunks = new Set<string>();
  private written: DeviceState | null = null;

  private constructor(
    readonly tx: IDBTransaction,
    readonly tables: UserTables,
    readonly directory: Directory,
    private read: DeviceState,
  ) {}

  /** Begin: what is known of the database is brought up to date. */
  static async begin(tx: IDBTransaction, tables: UserTables, directory: Directory): Promise<Work> {
    const state = answer(tx.objectStore("meta").get("state"));
    await directory.refresh(tx);
    const known = (await state) as DeviceState;
    tables.take(known.layout);
    return new Work(tx, tables, directory, known);
  }

  get state(): DeviceState {
    return this.written ?? this.read;
  }

  /** Remember something of the device. */
  set(changes: Partial<DeviceState>): void {
    this.written = { ...this.state, ...changes };
  }

  /** One row. */
  async row(name: RowName): Promise<Known> {
    const known = this.rows.get(name);
    if (known !== undefined) return known;
    const record = (await answer(this.tx.objectStore("row").get(name))) as RowRecord | undefined;
    return this.remember(name, record);
  }

  /** Several rows at once. */
  async load(names: readonly RowName[]): Promise<Known[]> {
    const store = this.tx.objectStore("row");
    const missing = names.filter((name) => !this.rows.has(name));
    const records = await Promise.all(missing.map((name) => answer(store.get(name))));
    for (const [i, name] of missing.entries()) await this.remember(name, records[i] as RowRecord | undefined);
    return names.map((name) => this.rows.get(name) as Known);
  }

  private async remember(name: RowName, record: RowRecord | undefined): Promise<Known> {
    const [table, key] = nameParts(name);
    const user = this.tables.get(table);
    const known = record === undefined ? await this.inChunk(name, user, key) : knownOf(name, user, key, record);
    // A row that was read twice at the same time is one.
    const first = this.rows.get(name) ?? known;
    this.rows.set(name, first);
    return first;
  }

  private async inChunk(name: RowName, user: UserTable, key: string): Promise<Known> {
    const place = this.directory.find(user.table.name, key) ?? null;
    const row = { name, user, key, space: "", confirmed: null, shown: null, waits: false, place, isRecord: false };
    if (place === null) return row;
    const confirmed = user.rowOf(await this.directory.image(this.tx, place));
    return { ...row, space: this.directory.spaceOf(place), confirmed, shown: confirmed };
  }

  /** The row has changed and is written at the end. */
  change(known: Known): void {
    this.changed.add(known.name);
  }

  /** Rows of these tables have come or gone with their chunks. */
  touch(tables: Iterable<string>): void {
    for (const table of tables) this.withChunks.add(table);
  }

  /** The rows that this transaction has changed. */
  changedRows(): Known[] {
    return [...this.changed].map((name) => this.rows.get(name) as Known);
  }

  /** The operations that wait on a row, oldest first. */
  async waiting(known: Known): Promise<Op[]> {
    const index = this.tx.objectStore("transaction").index("rows");
    const found = (await answer(index.getAll(known.name))) as TransactionRecord[];
    return found
      .filter(({ state }) => state !== "refused")
      .sort((a, b) => Number(a.txn) - Number(b.txn))
      .flatMap(({ ops }) => ops as unknown as readonly Operation[])
      .filter((op) => op.table === known.user.table.name && op.key === known.key)
      .map((op) => localOperation(known.user, op));
  }

  /** Show what is confirmed with what waits. */
  async refold(known: Known): Promise<void> {
    const ops = await this.waiting(known);
    known.waits = ops.length > 0;
    known.shown = fold(known.user, known.confirmed, ops);
    this.change(known);
  }

  /** A new transaction for the outbox. */
  add(transaction: TransactionRecord): void {
    this.transactions.push(transaction);
  }

  async spaces(): Promise<Map<string, SpaceRecord>> {
    const store = this.tx.objectStore("space");
    const names = answer(store.getAllKeys());
    const records = (await answer(store.getAll())) as SpaceRecord[];
    return new Map((await names).map((name, i) => [name as string, records[i] as SpaceRecord]));
  }

  /** Ask for everything to be written; the transaction then ends by itself. Gives the names of the tables touched. */
  flush(): Set<string> {
    const [row, moved] = [this.tx.objectStore("row"), this.tx.objectStore("moved")];
    const gone = new Map<number, number[]>();
    const touched = new Set(this.withChunks);
    for (const known of this.changedRows()) {
      touched.add(known.user.table.name);
      const record = recordOf(known);
      if (record !== null) row.put(record, known.name);
      else if (known.isRecord) row.delete(known.name);
      if (known.place !== null) gone.set(known.place.chunk, [...(gone.get(known.place.chunk) ?? []), known.place.at]);
    }
    for (const [chunk, at] of gone) moved.put({ chunk, at } satisfies MovedRecord);
    for (const transaction of this.transactions) this.tx.objectStore("transaction").put(transaction);
    if (this.written !== null) this.tx.objectStore("meta").put(this.written, "state");
    return touched;
  }
}

function knownOf(name: RowName, user: UserTable, key: string, record: RowRecord): Known {
  const confirmed = record.confirmed === null ? null : user.loaded(record.confirmed);
  const waits = record.shown !== undefined;
  const shown = record.shown === undefined ? confirmed : loadedShown(record.shown);
  return { name, user, key, space: record.space, confirmed, shown, waits, place: null, isRecord: true };
}

/** What the database holds of a row; null: nothing. */
function recordOf(known: Known): RowRecord | null {
  const { user, space, confirmed, shown, waits } = known;
  if (confirmed === null && !waits) return null;
  const alive = shown !== null && shown.life % 2 === 1;
  const entries = alive ? indexed(user, keyValues(user.table, known.key), shown.values) : [];
  const record = { space, confirmed: confirmed === null ? null : user.stored(confirmed), entries };
  return waits ? { ...record, shown: storedShown(shown) } : record;
}

/** The entries of a row in the index of the database, each after its table and the number of its index. */
function indexed(user: UserTable, key: readonly Wire[], cells: readonly Wire[]): string[] {
  return user.entriesOf(key, cells).map((entry, index) => entryIn(user, index, entry));
}

/** An entry, or the beginning of one, as the index of the database has it. */
export function entryIn(user: UserTable, index: number, entry: string): string {
  return `${user.table.name}\0${index}\0${entry}`;
}
