// How a device stands: what its database says, and what its sync is doing.
import { EPOCH_MS } from "../kernel/clock";
import { isUnsettled } from "../protocol/conflicts";
import { conflicts } from "./deciding";
import type { DeviceState, SpaceRecord } from "./file";
import { answer } from "./idb";
import { Outbox } from "./outbox";
import type { LoopStatus } from "./loop";
import { type Moving, type Progress, withWaiting } from "./progress";
import type { LogLine } from "./sync_log";
import type { Work } from "./work";

/** How near the bytes of the site are to what the browser gives it, as Python's levels of a budget. */
export type Level = "ok" | "warning" | "critical" | "full";

export interface StorageReport {
  readonly usage: number;
  readonly quota: number;
  readonly persisted: boolean;
  readonly level: Level;
}

/**
 * How a device stands. Counts are of transactions.
 *
 * `connected`: the loop of some tab runs and its last exchange went well; `uploading` from when a request with
 * transactions goes out until its answer begins, `downloading` while rows come. `conflictCount` counts the conflicts that
 * wait for a decision and those in which a value of this device lost and that nobody has resolved, `parkedCount` those
 * among the waiting ones that are held back until somebody decides. `downloadError` says what holds up news: the failure
 * of the last exchange; `uploadError` what holds up what waits here. `inSync`: nothing waits here, and the last exchange
 * ended whole; without a connection that is of `lastSyncedAt`. `clockOffset` is what the hub's clock is ahead of the
 * device's, in milliseconds. `state`, `channel` and `retryIn` (milliseconds to the next attempt) are those of the tab
 * that syncs; `leader`: it is this one.
 */
export interface Status {
  readonly device: string;
  readonly user: string;
  readonly connected: boolean;
  readonly connecting: boolean;
  readonly uploading: boolean;
  readonly downloading: boolean;
  readonly pendingCount: number;
  readonly pendingBytes: number;
  readonly refusedCount: number;
  readonly parkedCount: number;
  readonly conflictCount: number;
  readonly hasSynced: boolean;
  readonly lastSyncedAt: Date | null;
  readonly uploadError: string | null;
  readonly downloadError: string | null;
  readonly progress: Progress | null;
  readonly clockOffset: number;
  readonly spaces: Readonly<Record<string, { readonly access: string; readonly ready: boolean }>>;
  readonly inSync: boolean;
  readonly state: LoopStatus["state"];
  readonly channel: LoopStatus["channel"];
  readonly retryIn: number | null;
  readonly leader: boolean;
  readonly storage: StorageReport;
}

/** What the database alone says, in one transaction. */
interface Standing {
  readonly state: DeviceState;
  readonly spaces: ReadonlyMap<string, SpaceRecord>;
  readonly waiting: { readonly count: number; readonly operations: number; readonly size: number };
  readonly refused: number;
  readonly parked: number;
  readonly conflicts: number;
  readonly settled: boolean;
  readonly held: string;
}

/** Reads how one device stands; remembers what does not change, so that many waiting transactions cost little. */
export class StandingReader {
  private readonly known = new Map<number, Weight>();
  private unsettled: number | null = null;

  /** Rows of these tables have changed. */
  changed(tables: readonly string[]): void {
    if (tables.includes("holdfast_conflict")) this.unsettled = null;
  }

  /** Something is held back, or is so no more. */
  forget(): void {
    this.known.clear();
  }

  /** The database is another one now. */
  clear(): void {
    this.known.clear();
    this.unsettled = null;
  }

  async read(work: Work): Promise<Standing> {
    const store = work.tx.objectStore("transaction");
    const keys = (state: string): Promise<number[]> =>
      answer(store.index("state").getAllKeys(state)) as unknown as Promise<number[]>;
    const [refused, parked] = [await keys("refused"), await keys("parked")];
    const waiting = [...(await keys("pending")), ...(await keys("sending")), ...parked];
    const outbox = new Outbox(work);
    let [operations, size, held] = [0, 0, ""];
    for (const txn of waiting) {
      const known = this.known.get(txn) ?? (await weightOf(outbox, txn));
      this.known.set(txn, known);
      operations += known.operations;
      size += known.size;
      held ||= known.error;
    }
    const { state } = work;
    if (this.unsettled === null) {
      const found = await conflicts(work, null);
      this.unsettled = found.filter((conflict) => isUnsettled(conflict, state.device)).length;
    }
    const spaces = await work.spaces();
    const staged = await answer(work.tx.objectStore("stage").count());
    const granted = [...spaces.values()].filter(({ access }) => access !== "");
    return {
      ...{ state, spaces, refused: refused.length, parked: parked.length, conflicts: this.unsettled, held },
      waiting: { count: waiting.length, operations, size },
      settled: staged === 0 && granted.every(({ ready, lost }) => ready && !lost),
    };
  }
}

interface Weight {
  readonly size: number;
  readonly operations: number;
  readonly error: string;
}

async function weightOf(outbox: Outbox, txn: number): Promise<Weight> {
  const record = await outbox.get(txn);
  return { size: record?.size ?? 0, operations: record?.ops.length ?? 0, error: record?.error ?? "" };
}

/** What is known beside the database. */
export interface Now {
  readonly loop: LoopStatus;
  readonly moving: Moving;
  readonly latest: LogLine | null;
  readonly leader: boolean;
  readonly storage: StorageReport;
}

/** Everything together. */
export function statusOf(standing: Standing, now: Now): Status {
  const { state, waiting, spaces } = standing;
  const { loop, moving, latest } = now;
  const failed = loop.error ?? (latest !== null && latest.error !== "" ? `${latest.error}: ${latest.message}` : null);
  const readable = [...spaces].filter(([, { access }]) => access !== "");
  const hasSynced = state.lastSynced !== null;
  return {
    ...{ device: state.device, user: state.user, state: loop.state, channel: loop.channel, retryIn: loop.retryIn },
    ...{ leader: now.leader, storage: now.storage, clockOffset: state.clockOffset, hasSynced },
    connected: loop.state === "connected" || (loop.state === "stopped" && moving.progress !== null),
    connecting: loop.state === "connecting",
    uploading: moving.uploading,
    downloading: moving.downloading,
    pendingCount: waiting.count,
    pendingBytes: waiting.size,
    refusedCount: standing.refused,
    parkedCount: standing.parked,
    conflictCount: standing.conflicts,
    lastSyncedAt: state.lastSynced === null ? null : new Date(state.lastSynced + EPOCH_MS),
    uploadError: waiting.count === 0 ? null : (failed ?? (standing.held === "" ? null : standing.held)),
    downloadError: failed,
    progress: withWaiting(moving, waiting.operations, waiting.size),
    spaces: Object.fromEntries(readable.map(([name, { access, ready }]) => [name, { access, ready }])),
    inSync: hasSynced && waiting.count === 0 && standing.settled && (latest === null || latest.complete),
  };
}

/** What the site takes, and how near that is to what the browser gives it. */
export async function storageReport(): Promise<StorageReport> {
  const { usage = 0, quota = 0 } = await navigator.storage.estimate();
  return { usage, quota, persisted: await navigator.storage.persisted(), level: levelOf(usage, quota) };
}

function levelOf(usage: number, quota: number): Level {
  if (quota === 0) return "ok";
  if (usage >= quota) return "full";
  return usage >= quota * 0.95 ? "critical" : usage >= quota * 0.8 ? "warning" : "ok";
}
