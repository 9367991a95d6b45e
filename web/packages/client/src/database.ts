// A device as an application sees it: tables under their names, transactions, live queries.
import { HoldfastError } from "./errors";
import type { Wire } from "./kernel/column";
import type { Conflict } from "./protocol/conflicts";
import { Query, type Run } from "./query";
import { conflicts, resolve, restore } from "./replica/deciding";
import { Device, type Message } from "./replica/device";
import type { SyncReport } from "./replica/exchange";
import type { FileEvent } from "./replica/file";
import type { Token } from "./replica/http";
import type { Present } from "./replica/presence";
import { type Pending, pending, type Refused, refused } from "./replica/queued";
import { StandingReader, type Status, statusOf, type StorageReport, storageReport } from "./replica/status";
import { type Cancelled, Steering } from "./replica/steering";
import type { LogLine } from "./replica/sync_log";
import { Syncing } from "./replica/syncing";
import { rowName, type UserTable } from "./replica/tables";
import { rootsOf } from "./replica/verify";
import { watch } from "./replica/watching";
import { appRow, deviceClock, type Given, isAlive, keyFrom, Writer } from "./replica/writing";
import { keyValues } from "./schema/key";
import { appValueOf } from "./schema/app_values";
import type { SchemaForm } from "./schema/form";
import { tableOf } from "./schema/compile";

/** What `holdfast codegen ts` says of one table. */
export interface TableTypes {
  readonly row: unknown;
  readonly insert: unknown;
  readonly update: unknown;
  readonly key: unknown;
}

/** One table of a device, or of a transaction. */
export interface TableAccess<T extends TableTypes> {
  /** Insert a row, or write it over the one with its key; gives the key. */
  put(row: T["insert"]): Promise<T["key"]>;
  /** Change columns of a row; throws `row_missing` when this device has none. */
  update(key: T["key"], changes: T["update"]): Promise<void>;
  /** Delete a row; false when there was none. */
  delete(key: T["key"]): Promise<boolean>;
  /** A row, or null. */
  get(key: T["key"]): Promise<T["row"] | null>;
  /** Rows; all of them without a condition. */
  where(where?: Parameters<Query<T["row"]>["where"]>[0]): Query<T["row"]>;
}

/** Tables under their names. */
export type TableAccesses<Tables> = {
  readonly [Name in keyof Tables]: Tables[Name] extends TableTypes ? TableAccess<Tables[Name]> : never;
};

/** Writes of several tables that take effect together, or not at all. */
export type Transaction<Tables> = TableAccesses<Tables>;

/** What the hub has not answered, and what it has refused. */
export interface QueueView {
  readonly pending: readonly Pending[];
  readonly refused: readonly Refused[];
}

/** Whether this copy is the hub's. `differing`: the spaces that are not. */
export interface VerifyReport {
  readonly ok: boolean;
  readonly spaces: number;
  readonly differing: readonly string[];
}

export interface OpenOptions {
  /** The name of the database, of this site. */
  readonly name?: string;
  /** The URL of the hub, without `/v1/sync`; without it that of the page. */
  readonly url?: string;
  /** The token for the hub, or a function that gives one; without it the site's cookies are enough. */
  readonly token?: Token;
  /** Told when the database is blocked, closed or replaced by another one. */
  readonly onEvent?: (event: FileEvent) => void;
}

const ALL = { conditions: [], order: [], limit: Infinity, offset: 0 } as const;
const QUEUE: readonly Message["type"][] = ["outbox", "queue", "changed"];
const STATUS: readonly Message["type"][] = [...QUEUE, "status", "moving"];

/** What a device tells of: rows of tables, transactions in the outbox, how the sync stands, or who is present. */
export type Change =
  | { readonly type: "rows"; readonly tables: readonly string[] }
  | { readonly type: "queue" }
  | { readonly type: "status" }
  | { readonly type: "presence" };

/** A device in this browser. Its tables are properties, too: `db.submission`. */
export class DeviceAccess<Tables> {
  protected readonly device: Device;
  private readonly syncing: Syncing;
  private readonly standing = new StandingReader();

  constructor(schema: SchemaForm<Tables>, options: OpenOptions = {}) {
    this.device = new Device(options.name ?? "holdfast", schema, (event) => {
      if (event.type === "replaced") {
        this.standing.clear();
        this.syncing.begin();
      }
      options.onEvent?.(event);
    });
    this.device.listen((message) => {
      if (message.type === "changed") this.standing.changed(message.tables);
      else if (message.type === "queue" && message.failed) this.standing.forget();
    });
    this.syncing = new Syncing(this.device, (options.url ?? location.origin).replace(/\/$/, ""), options.token ?? null);
  }

  /** Be told of changes, whichever tab has made them; gives what ends it. */
  listen(listener: (change: Change) => void): () => void {
    return this.device.listen((message) => {
      const change = changeOf(message);
      if (change !== null) listener(change);
    });
  }

  /**
   * Sync from now on, as long as this tab or another one is open: over a live channel where one works. One tab of all
   * that are connected does it; the others hear of what it does.
   */
  connect(): void {
    this.syncing.connect();
  }

  /** Sync no more in this tab. */
  disconnect(): void {
    this.syncing.disconnect();
  }

  /** Let the tab that syncs try now, whatever it waits for. */
  poke(): void {
    this.device.say({ type: "wish" });
  }

  /** How the device stands. */
  async status(): Promise<Status> {
    const standing = await this.device.read((work) => this.standing.read(work));
    const [[latest = null], storage] = [await this.log(1), await this.storage()];
    const { status: loop, moving, leads: leader } = this.syncing;
    return statusOf(standing, { loop, moving, latest, leader, storage });
  }

  /**
   * Call `told` with the status now and whenever something of it may have changed, in whichever tab, until the function
   * that this gives is called. Changes that come quickly are told of as one.
   */
  onStatus(told: (status: Status) => void, failed?: (error: unknown) => void): () => void {
    return watch(
      this.device,
      () => this.status(),
      ({ type }) => STATUS.includes(type),
      told,
      failed,
    );
  }

  /** Wait until everything that this device may read is here, for the first time. */
  async waitForFirstSync(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let stop: (() => void) | null = null;
      const told = ({ hasSynced, spaces }: Status): void => {
        if (!hasSynced || !Object.values(spaces).every(({ ready }) => ready)) return;
        queueMicrotask(() => stop?.());
        resolve();
      };
      stop = this.onStatus(told, reject);
    });
  }

  /** What the latest rounds did, newest first, in whichever tab; 1,000 are kept. */
  async log(limit = 100): Promise<LogLine[]> {
    return this.syncing.log.read(limit);
  }

  /** The conflicts that this device holds, oldest first: all, those that wait for a decision (`open`), or the others. */
  async conflicts({ open = null }: { readonly open?: boolean | null } = {}): Promise<Conflict[]> {
    return this.device.read((work) => conflicts(work, open));
  }

  /** Call `told` with the conflicts now and after every change of them, until the function that this gives is called. */
  onConflicts(
    told: (conflicts: Conflict[]) => void,
    which: { readonly open?: boolean | null } = {},
    failed?: (error: unknown) => void,
  ): () => void {
    const concerns = (message: Message): boolean =>
      message.type === "changed" && message.tables.includes("holdfast_conflict");
    return watch(this.device, () => this.conflicts(which), concerns, told, failed);
  }

  /**
   * Decide a conflict (or the one with that id): "mine", "theirs", or a value for the column; works offline. The row and
   * the conflict are written in one transaction. A value that is itself "mine" or "theirs" can be written with `update`.
   * Throws `conflict_unknown`, `conflict_gone`, `conflict_choice`, `forbidden_space`, or what the column refuses.
   */
  async resolve(conflict: Conflict | string, choice: unknown, label = "resolve a conflict"): Promise<Conflict> {
    return this.writing(label, (writer) => resolve(writer, idOf(conflict), choice));
  }

  /** Bring back the value that lost, in one transaction, offline, too. Throws as `resolve` does. */
  async restore(conflict: Conflict | string): Promise<Conflict> {
    return this.writing("restore a value", (writer) => restore(writer, idOf(conflict)));
  }

  /**
   * This device is in the space, with small data of the application for the others to see (JSON, at most 1,024 bytes): a
   * name, a page, a colour. Throws `announcement_invalid`.
   */
  announce(space: string, data: Wire = null): void {
    this.syncing.presence.announce(space, data);
  }

  /** This tab is not in the space any more. */
  withdraw(space: string): void {
    this.syncing.presence.leave(space);
  }

  /** Who is in a space where this device has announced itself, this device included, as the hub said last. */
  presence(space: string): readonly Present[] {
    return this.syncing.presence.present(space);
  }

  /** Call `told` with who is in the space now and after every change, until the function that this gives is called. */
  onPresence(space: string, told: (present: readonly Present[]) => void): () => void {
    const read = (): Promise<readonly Present[]> => Promise.resolve(this.presence(space));
    return watch(this.device, read, ({ type }) => type === "presence" || type === "announced", told);
  }

  /** How many bytes the site takes, how many the browser gives it, and whether it may throw them away by itself. */
  async storage(): Promise<StorageReport> {
    return storageReport();
  }

  /** Ask the browser to keep the data until the person deletes them. Best asked for after the first write. */
  async persist(): Promise<boolean> {
    return navigator.storage.persist();
  }

  /** A table by its name, whatever the name is. */
  table<Name extends keyof Tables & string>(name: Name): TableAccesses<Tables>[Name] {
    const user = this.device.tables.get(tableOf(this.device.tables.schema, name).name);
    const writing = <T>(body: (writer: Writer) => Promise<T>): Promise<T> => this.writing("", body);
    const reading: Run = (body) => this.device.read(body);
    return accessOf(this.device, user.table.name, reading, writing) as TableAccesses<Tables>[Name];
  }

  /**
   * Run `body` with the tables of one transaction: all of its writes take effect, or none. Nothing may be awaited in it
   * but the methods of its tables: IndexedDB ends a transaction of which nothing is asked, and then `transaction_closed`
   * is thrown and nothing was written. `label` is what people read of it.
   */
  async transaction<T>(body: (tables: Transaction<Tables>) => Promise<T>, label = ""): Promise<T> {
    return this.writing(label, async (writer) => {
      const reading: Run = (read) => read(writer.work);
      const names = [...this.device.tables.schema.tables.keys()];
      const tables = names.map((name) => [name, accessOf(this.device, name, reading, (write) => write(writer))]);
      return body(Object.fromEntries(tables) as Transaction<Tables>);
    });
  }

  /** Send what waits and fetch what is new, until nothing is left. Throws what went wrong. */
  async sync(): Promise<SyncReport> {
    return (await this.syncing.sync())[0];
  }

  /**
   * Sync once in the place of the tab that syncs, as a service worker does while no tab is open. Where a tab syncs, it is
   * asked to do it now, and this ends when nothing waits any more. Throws what went wrong.
   */
  async flush(): Promise<void> {
    await this.syncing.flush(async () => (await this.pending()).length === 0);
  }

  /** Sync, then compare what is confirmed here with what the hub has, by digest. */
  async verify(): Promise<VerifyReport> {
    const [, { digests }] = await this.syncing.sync({ digests: true });
    const roots = await this.device.read((work) => rootsOf(work, new TextEncoder().encode(work.state.hub)));
    const differing = Object.entries(digests ?? {}).filter(([space, root]) => roots.get(space) !== root);
    return {
      ok: digests !== null && differing.length === 0,
      spaces: Object.keys(digests ?? {}).length,
      differing: differing.map(([space]) => space),
    };
  }

  /** The transactions that the hub has not answered, and the parked ones, oldest first. */
  async pending(): Promise<Pending[]> {
    return this.device.read((work) => pending(work, deviceClock() + work.state.clockOffset));
  }

  /** The transactions that were refused, with reason and values, oldest first. */
  async refused(): Promise<Refused[]> {
    return this.device.read(refused);
  }

  /** Call `told` with what waits and what was refused, now and after every change, until its function is called. */
  onQueue(told: (queue: QueueView) => void, failed?: (error: unknown) => void): () => void {
    const read = async (): Promise<QueueView> => ({ pending: await this.pending(), refused: await this.refused() });
    return watch(this.device, read, ({ type }) => QUEUE.includes(type), told, failed);
  }

  /**
   * Take back a transaction that the hub has not answered; what it wrote is rolled back here. Others that depend on it go
   * with it if `dependants` is true; else `has_dependants` is thrown and names them. One that was sent may be on the hub
   * already: the hub is asked not to take it.
   */
  async cancel(txn: number, { dependants = false } = {}): Promise<Cancelled> {
    return this.steer((steering) => steering.cancel(txn, dependants));
  }

  /** Send a refused or parked transaction again, or one that is held back at once. */
  async retry(txn: number): Promise<void> {
    return this.steer((steering) => steering.retry(txn));
  }

  /** Forget a refused transaction for ever, with its values; a parked one is rolled back, as by `cancel`. */
  async drop(txn: number, { dependants = false } = {}): Promise<Cancelled> {
    return this.steer((steering) => steering.drop(txn, dependants));
  }

  private async steer<T>(act: (steering: Steering) => Promise<T>): Promise<T> {
    const done = await this.device.write((work) => act(new Steering(work)));
    this.device.say({ type: "queue", failed: true });
    this.device.say({ type: "outbox" });
    return done;
  }

  /** Close the device in this tab. */
  close(): void {
    this.syncing.close();
    this.device.close();
  }

  private async writing<T>(label: string, body: (writer: Writer) => Promise<T>): Promise<T> {
    const [value, wrote] = await this.device.write(async (work) => {
      const writer = new Writer(work, this.device.origin);
      return [await body(writer), writer.end(label)] as const;
    });
    if (wrote) this.device.say({ type: "outbox" });
    return value;
  }
}

/** Open a device. Nothing is read before it is used. */
export function open<Tables>(
  schema: SchemaForm<Tables>,
  options: OpenOptions = {},
): DeviceAccess<Tables> & TableAccesses<Tables> {
  return withTables(new DeviceAccess(schema, options), schema);
}

/** The same object with its tables as properties, where no method has their name. */
export function withTables<Access extends { table(name: never): unknown }, Tables>(
  access: Access,
  schema: SchemaForm<Tables>,
): Access & TableAccesses<Tables> {
  for (const { name } of schema.tables) {
    if (!(name in access))
      Object.defineProperty(access, name, { value: access.table(name as never), enumerable: true });
  }
  return access as Access & TableAccesses<Tables>;
}

/** What a message of the tabs means to an application; null: nothing. */
function changeOf(message: Message): Change | null {
  if (message.type === "changed") return { type: "rows", tables: message.tables };
  if (message.type === "outbox" || message.type === "queue") return { type: "queue" };
  if (message.type === "status" || message.type === "moving") return { type: "status" };
  return message.type === "presence" || message.type === "announced" ? { type: "presence" } : null;
}

function idOf(conflict: Conflict | string): string {
  return typeof conflict === "string" ? conflict : conflict.id;
}

type Write = <T>(body: (writer: Writer) => Promise<T>) => Promise<T>;

function accessOf(device: Device, name: string, run: Run, write: Write): TableAccess<TableTypes> {
  const user = (): UserTable => device.tables.get(name);
  const query = new Query<unknown>(device, run, name, ALL);
  return {
    put: (row) => write(async (writer) => appKey(user(), await writer.put(user(), objectOf(user(), row)))),
    update: (key, changes) => write((writer) => writer.update(user(), keyFrom(user(), key), objectOf(user(), changes))),
    delete: (key) => write((writer) => writer.delete(user(), keyFrom(user(), key))),
    get: (key) =>
      run(async (work) => {
        const known = await work.row(rowName(name, keyFrom(user(), key)));
        const { shown } = known;
        return shown !== null && isAlive(shown) ? appRow(known.user, known.key, shown.values) : null;
      }),
    where: (where = {}) => query.where(where),
  };
}

/** The key as the application has it: one value, or an array of them. */
function appKey(user: UserTable, key: string): unknown {
  const values = keyValues(user.table, key);
  const parts = user.table.key.map((column, place) => appValueOf(column.type, values[place] ?? null, column.element));
  return parts.length === 1 ? parts[0] : parts;
}

function objectOf(user: UserTable, given: unknown): Given {
  if (typeof given === "object" && given !== null && !Array.isArray(given)) return given as Given;
  throw new HoldfastError("value_type", `${user.table.name}: give an object with values by column`);
}
