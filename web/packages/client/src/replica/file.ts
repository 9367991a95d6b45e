// A device's database: its object stores, and what happens to it from outside (another tab that wants to upgrade or
// delete it, a browser that took it away).
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import type { Result } from "../protocol/messages";
import { answer, fileError, transact } from "./idb";
import type { Thing } from "./dependencies";
import type { Layout, RowName, StoredRow } from "./tables";

const FORMAT = 1;

/** What a device knows of itself and of its hub. Times in milliseconds since 2020-01-01 UTC. */
export interface DeviceState {
  readonly format: number;
  readonly device: string;
  readonly schema: { readonly version: number; readonly hash: string };
  /** Latest hybrid time given or seen. */
  readonly hlc: number;
  /** Milliseconds to add to the device's clock. */
  readonly clockOffset: number;
  readonly hub: string;
  readonly user: string;
  readonly layout: Layout | null;
  readonly lastSynced: number | null;
  /** The round that speaks with the hub now: an earlier one, of a tab that was frozen, applies nothing any more. */
  readonly round: string;
  /** The last number given to a chunk. */
  readonly chunks: number;
  /** The last number given in the order of naming. */
  readonly places: number;
}

/** A row that stands alone. `shown` is there while operations wait on it. `entries`: in the indexes, as it is shown. */
export interface RowRecord {
  readonly space: string;
  readonly confirmed: StoredRow | null;
  readonly shown?: StoredRow | null;
  readonly entries: readonly string[];
}

/**
 * A transaction in the outbox. `ops` are operations in wire form; `rows` the names of the rows that they change, `uses`
 * the things that they refer to, `values` the unique values that they free or take, `queue` its class.
 */
export interface TransactionRecord {
  readonly txn?: number;
  readonly state: "pending" | "sending" | "refused" | "parked";
  readonly origin?: string;
  readonly n?: number;
  /** In the order of naming. */
  readonly place?: number;
  /** The hub is asked not to take it: it could not process it and it is tried later, or a person has taken it back. */
  readonly withdraw?: "release" | "cancel";
  readonly label: string;
  readonly captured: number;
  readonly size: number;
  readonly ops: readonly Wire[];
  readonly rows: readonly RowName[];
  readonly uses: readonly Thing[];
  readonly values?: readonly Thing[];
  readonly queue?: string;
  readonly attempts: number;
  readonly error: string;
  readonly notBefore: number;
  readonly result?: Result;
}

/** A space: access "r", "rw" or "" (not granted yet). `lost`: it arrives anew, and what is here goes then. */
export interface SpaceRecord {
  readonly access: string;
  readonly cursor: string | null;
  readonly ready: boolean;
  readonly loaded: number | null;
  readonly lost: boolean;
}

/** A page that waits for the end of its answer; without a cursor it is a part of one whose space has moved on. */
export interface StagedPage {
  readonly space: string;
  readonly cursor: string;
  readonly line: Uint8Array<ArrayBuffer>;
  /** The places of the rows that count; all of them without it. */
  readonly at?: readonly number[];
}

export const STORES = [
  "meta", "row", "chunk", "directory", "moved", "transaction", "space", "stage", "acknowledge",
] as const; // prettier-ignore

/** What happens to the database from outside. */
export type FileEvent =
  | { readonly type: "blocked"; readonly message: string }
  | { readonly type: "closed"; readonly reason: "newer version" | "deleted" }
  | { readonly type: "replaced"; readonly device: string; readonly lost: string };

/** The connection to one database. It is opened at the first use, and again when the browser has taken it away. */
export class File {
  private connection: Promise<IDBDatabase> | null = null;
  private db: IDBDatabase | null = null;
  private closed = false;
  private device = "";

  constructor(
    readonly name: string,
    private readonly fresh: () => DeviceState,
    private readonly tell: (event: FileEvent) => void,
  ) {}

  /** Run a transaction that reads. */
  async read<T>(body: (tx: IDBTransaction) => Promise<T>): Promise<T> {
    return this.run("readonly", "default", body);
  }

  /** Run a transaction that writes; it is on the disk when this returns. */
  async write<T>(
    body: (tx: IDBTransaction) => Promise<T>,
    durability: IDBTransactionDurability = "strict",
  ): Promise<T> {
    return this.run("readwrite", durability, body);
  }

  close(): void {
    this.closed = true;
    this.db?.close();
    this.db = null;
    this.connection = null;
  }

  private async run<T>(
    mode: IDBTransactionMode,
    durability: IDBTransactionDurability,
    body: (tx: IDBTransaction) => Promise<T>,
  ): Promise<T> {
    return transact(await this.open(), STORES, mode, durability, body);
  }

  private open(): Promise<IDBDatabase> {
    if (this.closed)
      return Promise.reject(new HoldfastError("closed", `the device ${this.name} was closed; open it anew`));
    if (this.connection === null) {
      const opening = this.connect();
      this.connection = opening;
      opening.catch(() => {
        if (this.connection === opening) this.connection = null;
      });
    }
    return this.connection;
  }

  private async connect(): Promise<IDBDatabase> {
    const db = await this.request();
    db.onversionchange = ({ newVersion }) => {
      // Another tab deletes or upgrades: it waits until this connection is closed.
      db.close();
      if (newVersion === null) {
        this.gone();
      } else {
        this.close();
        this.tell({ type: "closed", reason: "newer version" });
      }
    };
    db.onclose = () => {
      this.gone();
    };
    await this.identify(db);
    this.db = db;
    return db;
  }

  /** The database was taken away (site data cleared, disk failure): the next use opens what is there then. */
  private gone(): void {
    this.db = null;
    this.connection = null;
    this.tell({ type: "closed", reason: "deleted" });
  }

  private request(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, FORMAT);
      request.onupgradeneeded = () => {
        make(request.result);
      };
      request.onblocked = () => {
        this.tell({ type: "blocked", message: "another tab with an earlier version holds the database; close it" });
      };
      request.onsuccess = () => {
        resolve(request.result);
      };
      request.onerror = () => {
        const isNewer = request.error?.name === "VersionError";
        const newer = new HoldfastError("file_newer", `the database ${this.name} was written by a newer Holdfast`);
        reject(isNewer ? newer : fileError(request.error));
      };
    });
  }

  /** Mint a device where the database is new, and say so when it was another one before. */
  private async identify(db: IDBDatabase): Promise<void> {
    const device = await transact(db, ["meta"], "readwrite", "strict", async (tx) => {
      const meta = tx.objectStore("meta");
      const known = (await answer(meta.get("state"))) as DeviceState | undefined;
      if (known !== undefined) return known.device;
      const fresh = this.fresh();
      meta.put(fresh, "state");
      return fresh.device;
    });
    if (this.device !== "" && device !== this.device) this.tell({ type: "replaced", device, lost: this.device });
    this.device = device;
  }
}

function make(db: IDBDatabase): void {
  db.createObjectStore("meta");
  const row = db.createObjectStore("row");
  row.createIndex("entries", "entries", { multiEntry: true });
  row.createIndex("space", "space");
  db.createObjectStore("chunk");
  db.createObjectStore("directory", { keyPath: "id" });
  db.createObjectStore("moved", { autoIncrement: true });
  const transaction = db.createObjectStore("transaction", { keyPath: "txn", autoIncrement: true });
  transaction.createIndex("rows", "rows", { multiEntry: true });
  transaction.createIndex("state", "state");
  db.createObjectStore("space");
  db.createObjectStore("stage", { autoIncrement: true });
  db.createObjectStore("acknowledge");
}
