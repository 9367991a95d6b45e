// A device as an application sees it: tables under their names, transactions, live queries.
import { HoldfastError } from "./errors";
import { EPOCH_MS } from "./kernel/clock";
import { Query, type Run } from "./query";
import { Device } from "./replica/device";
import { Exchanges, type SyncReport } from "./replica/exchange";
import type { FileEvent } from "./replica/file";
import { Http, type Token } from "./replica/http";
import { Leadership } from "./replica/leader";
import { Loop, type LoopStatus } from "./replica/loop";
import { Outbox, type Held } from "./replica/outbox";
import { rowName, type UserTable } from "./replica/tables";
import type { Operation } from "./replica/work";
import { rootsOf } from "./replica/verify";
import { appRow, type Given, isAlive, keyFrom, Writer } from "./replica/writing";
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

/** A transaction that waits, or that the hub has refused, as people read it. */
export interface Queued {
  readonly id: number;
  readonly state: "pending" | "sending" | "refused" | "parked";
  readonly label: string;
  /** When it was written. */
  readonly at: Date;
  readonly operations: readonly Operation[];
  /** What the hub answered, of a refused one. */
  readonly code: string;
  readonly message: string;
  /** How often the hub could not process it, and why. */
  readonly attempts: number;
  readonly error: string;
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

/** How a device stands: `state`, `channel`, `error` and `retryIn` are those of the tab that syncs. */
export interface Status extends LoopStatus {
  readonly device: string;
  readonly user: string;
  /** Whether this tab is the one that syncs. */
  readonly leader: boolean;
  readonly pending: number;
  readonly refused: number;
  readonly lastSyncedAt: Date | null;
  readonly spaces: Readonly<Record<string, { readonly access: string; readonly ready: boolean }>>;
}

export interface StorageReport {
  readonly usage: number;
  readonly quota: number;
  readonly persisted: boolean;
}

const NOT_CONNECTED: LoopStatus = { state: "stopped", channel: "none", error: null, retryIn: null };
const ALL = { conditions: [], order: [], limit: Infinity, offset: 0 } as const;

/** A device in this browser. Its tables are properties, too: `db.submission`. */
export class DeviceAccess<Tables> {
  protected readonly device: Device;
  private readonly url: string;
  private readonly token: Token;
  private exchanges: Exchanges;
  private leadership: Leadership | null = null;
  private loop: Loop | null = null;
  private loopStatus: LoopStatus = NOT_CONNECTED;

  constructor(schema: SchemaForm<Tables>, options: OpenOptions = {}) {
    this.url = (options.url ?? location.origin).replace(/\/$/, "");
    this.token = options.token ?? null;
    this.device = new Device(options.name ?? "holdfast", schema, (event) => {
      if (event.type === "replaced") this.begin();
      options.onEvent?.(event);
    });
    this.exchanges = new Exchanges(this.device, new Http(this.url, this.token));
    this.device.listen((message) => {
      if (message.type === "outbox") this.loop?.commit();
      else if (message.type === "wish") this.loop?.wish(true);
      else if (message.type === "status") this.loopStatus = message.status;
    });
  }

  /**
   * Sync from now on, as long as this tab or another one is open: over a live channel where one works. One tab of all
   * that are connected does it; the others hear of what it does.
   */
  connect(): void {
    this.leadership ??= new Leadership(this.device, async (over, taken) => {
      // The loop has rounds of its own: an answer that comes late on its channel is never taken for another's.
      const http = new Http(this.url, this.token);
      const exchanges = new Exchanges(this.device, http);
      if (taken) exchanges.takeOver();
      const loop = new Loop(this.device, exchanges, http, (status) => {
        this.loopStatus = status;
      });
      this.loop = loop;
      const hint = (): void => {
        loop.wish(false);
      };
      over.addEventListener("abort", () => {
        loop.stop();
      });
      addEventListener("online", hint);
      await loop.run();
      removeEventListener("online", hint);
      this.loop = null;
    });
  }

  /** The database is another device now: nothing of the one before may go on under its names. */
  private begin(): void {
    this.exchanges = new Exchanges(this.device, new Http(this.url, this.token));
    if (this.leadership === null) return;
    this.disconnect();
    this.connect();
  }

  /** Sync no more in this tab. */
  disconnect(): void {
    this.leadership?.stop();
    this.leadership = null;
    this.loopStatus = NOT_CONNECTED;
  }

  /** Let the tab that syncs try now, whatever it waits for. */
  poke(): void {
    this.device.say({ type: "wish" });
  }

  /** How the device stands. */
  async status(): Promise<Status> {
    const { state, spaces, pending, refused } = await this.device.read(async (work) => {
      const counts = { pending: 0, refused: 0 };
      await new Outbox(work).each((record) => {
        counts[record.state === "refused" ? "refused" : "pending"]++;
        return true;
      });
      return { state: work.state, spaces: await work.spaces(), ...counts };
    });
    const readable = [...spaces].filter(([, { access }]) => access !== "");
    return {
      device: state.device,
      user: state.user,
      ...this.loopStatus,
      leader: this.leadership?.leads ?? false,
      pending,
      refused,
      lastSyncedAt: state.lastSynced === null ? null : new Date(state.lastSynced + EPOCH_MS),
      spaces: Object.fromEntries(readable.map(([name, { access, ready }]) => [name, { access, ready }])),
    };
  }

  /** How many bytes the site takes, how many the browser gives it, and whether it may throw them away by itself. */
  async storage(): Promise<StorageReport> {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    return { usage, quota, persisted: await navigator.storage.persisted() };
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
    return (await this.exchanges.sync())[0];
  }

  /** Sync, then compare what is confirmed here with what the hub has, by digest. */
  async verify(): Promise<VerifyReport> {
    const [, { digests }] = await this.exchanges.sync({ digests: true });
    const roots = await this.device.read((work) => rootsOf(work, new TextEncoder().encode(work.state.hub)));
    const differing = Object.entries(digests ?? {}).filter(([space, root]) => roots.get(space) !== root);
    return {
      ok: digests !== null && differing.length === 0,
      spaces: Object.keys(digests ?? {}).length,
      differing: differing.map(([space]) => space),
    };
  }

  /** The transactions that wait, oldest first. */
  async pending(): Promise<Queued[]> {
    return this.queued(({ state }) => state !== "refused");
  }

  /** The transactions that the hub has refused, oldest first. */
  async refused(): Promise<Queued[]> {
    return this.queued(({ state }) => state === "refused");
  }

  private async queued(wanted: (record: Held) => boolean): Promise<Queued[]> {
    const found: Held[] = [];
    await this.device.read((work) =>
      new Outbox(work).each((record) => {
        if (wanted(record)) found.push(record);
        return true;
      }),
    );
    return found.map(queuedOf);
  }

  /** Close the device in this tab. */
  close(): void {
    this.disconnect();
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

function queuedOf({ txn, state, label, captured, ops, result, attempts, error }: Held): Queued {
  const operations = ops as unknown as readonly Operation[];
  const [code, message] = [result?.code ?? "", result?.message ?? ""];
  return { id: txn, state, label, at: new Date(captured + EPOCH_MS), operations, code, message, attempts, error };
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
