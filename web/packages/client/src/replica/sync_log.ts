// The sync log: one line for each round, kept within a limit in a small database of its own, so that a line after each
// round changes nothing in that of the device. It is written without waiting for the disk and for nobody; a line that
// cannot be written now is written with the next one. Python: replica/sync_log.py.
import type { HoldfastError } from "../errors";
import { answer, transact } from "./idb";

/** So many lines are kept. */
const LIMIT = 1000;
const LINES = "line";

/** Why a round was made: as in Python, docs/reference/logs.md. */
export type Trigger = "start" | "commit" | "news" | "timer" | "poke" | "sync" | "retry" | "more" | "verify";

/**
 * One round. `plainSent` and `plainReceived` are bytes before compression (what crosses the wire is the browser's to
 * know); `retries` counts the failures in a row before it. `complete`: afterwards everything was answered and everything
 * new was here. `error` is a code, or empty.
 */
export interface LogLine {
  readonly began: Date;
  readonly trigger: Trigger;
  readonly milliseconds: number;
  readonly transactions: number;
  readonly accepted: number;
  readonly refused: number;
  readonly conflicts: number;
  readonly rows: number;
  readonly plainSent: number;
  readonly plainReceived: number;
  readonly retries: number;
  readonly complete: boolean;
  readonly error: string;
  readonly message: string;
}

/** A round that is under way. */
export class Round {
  private readonly began = Date.now();
  transactions = 0;
  plainSent = 0;
  plainReceived = 0;

  constructor(readonly trigger: Trigger) {}

  /** The line of one that has ended, well or not. */
  ended(done: Partial<LogLine>, retries: number, error: HoldfastError | null): LogLine {
    const { trigger, transactions, plainSent, plainReceived } = this;
    return {
      ...{ began: new Date(this.began), trigger, milliseconds: Date.now() - this.began, transactions },
      ...{ accepted: 0, refused: 0, conflicts: 0, rows: 0, plainSent, plainReceived, retries, complete: false },
      ...{ error: error?.code ?? "", message: error?.message ?? "" },
      ...done,
    };
  }
}

/** The log of one device. Opens at the first use. */
export class SyncLog {
  private connection: Promise<IDBDatabase> | null = null;
  private waiting: LogLine[] = [];
  private failures = 0;
  /** The last line that this tab has written. */
  latest: LogLine | null = null;

  constructor(private readonly name: string) {}

  /** Keep what a round did. Never throws: a log that cannot be written stops no sync. */
  async note(round: Round, done: Partial<LogLine>, error: HoldfastError | null): Promise<void> {
    const line = round.ended(done, this.failures, error);
    this.failures = error === null ? 0 : this.failures + 1;
    this.latest = line;
    this.waiting = [...this.waiting, line].slice(-LIMIT);
    try {
      await this.write();
    } catch {
      this.connection = null; // the next line opens it anew, and takes this one along
    }
  }

  /** The latest lines, newest first. */
  async read(limit: number): Promise<LogLine[]> {
    const found: LogLine[] = [];
    await transact(await this.open(), [LINES], "readonly", "default", async (tx) => {
      const keys = await answer(tx.objectStore(LINES).getAllKeys());
      const first = keys.at(-Math.max(1, limit)) ?? keys[0];
      if (first !== undefined && limit > 0) {
        found.push(...((await answer(tx.objectStore(LINES).getAll(IDBKeyRange.lowerBound(first)))) as LogLine[]));
      }
    });
    return found.reverse();
  }

  close(): void {
    void this.connection?.then((db) => {
      db.close();
    });
    this.connection = null;
  }

  private async write(): Promise<void> {
    const lines = this.waiting;
    await transact(await this.open(), [LINES], "readwrite", "relaxed", async (tx) => {
      const store = tx.objectStore(LINES);
      let last = 0;
      for (const line of lines) last = Number(await answer(store.add(line)));
      store.delete(IDBKeyRange.upperBound(last - LIMIT));
    });
    this.waiting = this.waiting.filter((line) => !lines.includes(line));
  }

  private open(): Promise<IDBDatabase> {
    this.connection ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(LINES, { autoIncrement: true });
      };
      request.onsuccess = () => {
        const db = request.result;
        db.onversionchange = () => {
          db.close();
          this.connection = null;
        };
        resolve(db);
      };
      request.onerror = () => {
        reject(request.error ?? new DOMException("the log cannot be opened", "UnknownError"));
      };
    });
    return this.connection;
  }
}
