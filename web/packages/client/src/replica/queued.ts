// What waits and what was refused, as people see it. The words are those of Python's `pending()` and `refused()`.
import { EPOCH_MS } from "../kernel/clock";
import { dependants, needs } from "./dependencies";
import { type Held, Outbox } from "./outbox";
import type { Operation, Work } from "./work";

/**
 * A transaction that the hub has not answered, or that is parked. `queue` is its class, `age` how many milliseconds ago
 * it was written, `waitsFor` the transactions that must go first (direct ones), `attempts` how many requests could not
 * be processed because of it, `error` the last of these, `notBefore` when it is tried again, `withdrawn` that the hub
 * is asked not to take it.
 */
export interface Pending {
  readonly txn: number;
  readonly state: "pending" | "sending" | "parked";
  readonly label: string;
  readonly captured: Date;
  readonly size: number;
  readonly operations: readonly Operation[];
  readonly queue: string;
  readonly age: number;
  readonly waitsFor: readonly number[];
  readonly attempts: number;
  readonly error: string;
  readonly notBefore: Date | null;
  readonly withdrawn: boolean;
}

/**
 * A transaction that was refused: by the hub, or by the device because it cannot go over the wire. `needed` are refused
 * transactions that it depended on, `dependants` those in the outbox that depend on it, directly or through others.
 */
export interface Refused {
  readonly txn: number;
  readonly label: string;
  readonly captured: Date;
  readonly code: string;
  readonly message: string;
  readonly table: string;
  readonly key: string;
  readonly column: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly operations: readonly Operation[];
  readonly queue: string;
  readonly needed: readonly number[];
  readonly dependants: readonly number[];
}

export const UNDECIDED = ["pending", "sending", "parked"] as const;

/** All transactions that wait or are parked, in the order of writing. `now` in milliseconds since 2020, corrected. */
export async function pending(work: Work, now: number): Promise<Pending[]> {
  const records = await new Outbox(work).all(...UNDECIDED);
  const edges = needs(records);
  return records.map((record) => ({
    txn: record.txn,
    state: record.state as Pending["state"],
    label: record.label,
    captured: moment(record.captured),
    size: record.size,
    operations: operationsOf(record),
    queue: record.queue ?? "default",
    age: Math.max(0, now - record.captured),
    waitsFor: [...(edges.get(record.txn) ?? [])].sort((a, b) => a - b),
    attempts: record.attempts,
    error: record.error,
    notBefore: record.notBefore === 0 ? null : moment(record.notBefore),
    withdrawn: record.withdraw !== undefined,
  }));
}

/** All refused transactions, in the order of writing. */
export async function refused(work: Work): Promise<Refused[]> {
  const all = await new Outbox(work).all(...UNDECIDED, "refused");
  const records = all.filter(({ state }) => state === "refused");
  const edges = needs(all);
  const known = new Set(records.map(({ txn }) => txn));
  return records.map((record) => {
    const { code = "", message = "", table = "", key = "", column = "", details = {} } = record.result ?? {};
    return {
      ...{ txn: record.txn, label: record.label, captured: moment(record.captured) },
      ...{ code, message, table, key, column, details, operations: operationsOf(record) },
      queue: record.queue ?? "default",
      needed: [...(edges.get(record.txn) ?? [])].filter((txn) => known.has(txn)).sort((a, b) => a - b),
      dependants: dependants(edges, [record.txn]),
    };
  });
}

function operationsOf(record: Held): readonly Operation[] {
  return record.ops as unknown as readonly Operation[];
}

function moment(milliseconds: number): Date {
  return new Date(milliseconds + EPOCH_MS);
}
