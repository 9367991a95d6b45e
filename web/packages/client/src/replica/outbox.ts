// The outbox: transactions on their way to the hub, and those that were refused.
import type { Wire } from "../kernel/column";
import type { Result, Transaction } from "../protocol/messages";
import type { TransactionRecord } from "./file";
import { answer } from "./idb";
import { atOnce, DEFAULT, type Queue } from "../schema/queue";
import { needs } from "./dependencies";
import { choose } from "./order";
import type { Work } from "./work";

/** A request carries transactions of about so many bytes. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** A transaction is held back for at most so many milliseconds; one that waits longer has met a clock that was set. */
export const MAX_HOLD = 60 * 60 * 1000;
const AT_ONCE = 200;

/** A record that the database holds. */
export type Held = TransactionRecord & { readonly txn: number };

/** A transaction in a request: its local number, its name, what is said of it, and how many bytes that is. */
export interface Sending {
  readonly txn: number;
  readonly size: number;
  readonly origin: string;
  readonly n: number;
  readonly message: Transaction;
}

/** Reads and writes of the outbox inside one transaction of the engine. */
export class Outbox {
  private readonly store: IDBObjectStore;

  constructor(private readonly work: Work) {
    this.store = work.tx.objectStore("transaction");
  }

  /** One transaction, or null. */
  async get(txn: number): Promise<Held | null> {
    return ((await answer(this.store.get(txn))) as Held | undefined) ?? null;
  }

  /** All transactions in these states, oldest first. */
  async all(...states: readonly TransactionRecord["state"][]): Promise<Held[]> {
    const found: Held[] = [];
    await this.each((record) => {
      if (states.includes(record.state)) found.push(record);
      return true;
    });
    return found;
  }

  /** Those that have been sent and not answered, in the order of naming. */
  async sending(): Promise<Held[]> {
    const found = (await answer(this.store.index("state").getAll("sending"))) as Held[];
    return found.sort((a, b) => Number(a.place) - Number(b.place));
  }

  /** All transactions of the outbox, oldest first, piece by piece, until `take` gives false. */
  async each(take: (record: Held) => boolean): Promise<void> {
    for (let last = -Infinity; ;) {
      const found = (await answer(this.store.getAll(IDBKeyRange.lowerBound(last, true), AT_ONCE))) as Held[];
      for (const record of found) if (!take(record)) return;
      if (found.length < AT_ONCE) return;
      last = found.at(-1)?.txn ?? Infinity;
    }
  }

  /** What has been sent and is not answered, up to `most` transactions and `batch` bytes; one in any case. */
  unanswered(
    sending: readonly Held[],
    after: ReadonlyMap<string, number>,
    most: number,
    batch: number,
  ): [Sending[], boolean] {
    const chosen: Held[] = [];
    let size = 0;
    for (const record of sending) {
      if (Number(record.n) <= (after.get(record.origin ?? "") ?? 0)) continue;
      size += record.size;
      if (chosen.length > 0 && (size > Math.min(batch, BATCH_BYTES) || chosen.length >= most)) {
        return [chosen.map(spoken), true];
      }
      chosen.push(record);
    }
    return [chosen.map(spoken), false];
  }

  /**
   * Which of those without a name go next, in the order of sending. What is held back holds back what needs it, and
   * nothing else. Gives them, and whether there are more.
   */
  async choose(now: number, most: number, batch: number): Promise<[Held[], boolean]> {
    const { queues } = this.work.tables;
    const [first] = queues.values();
    const isPlain = [...queues.values()].every((queue) => queue.priority === first?.priority && atOnce(queue) === null);
    const inOrder = isPlain ? await this.firstWritten(now, most, Math.min(batch, BATCH_BYTES)) : null;
    return inOrder ?? (await this.chosen(queues, now, most, Math.min(batch, BATCH_BYTES)));
  }

  /** The same where the order of writing will do; null where one is met that is held. */
  private async firstWritten(now: number, most: number, batch: number): Promise<[Held[], boolean] | null> {
    const chosen: Held[] = [];
    let [size, more, held] = [0, false, false];
    await this.each((record) => {
      if (record.state !== "pending" && record.state !== "parked") return true;
      held = isHeld(record, now);
      size += record.size;
      more = chosen.length > 0 && (size > batch || chosen.length >= most);
      if (!more && !held) chosen.push(record);
      return !more && !held;
    });
    return held ? null : [chosen, more];
  }

  private async chosen(
    queues: ReadonlyMap<string, Queue>,
    now: number,
    most: number,
    batch: number,
  ): Promise<[Held[], boolean]> {
    const records = await this.all("pending", "parked");
    const candidates = records.map((record) => ({
      txn: record.txn,
      queue: record.queue ?? DEFAULT.name,
      size: record.size,
      held: isHeld(record, now),
    }));
    const found = choose({ candidates, needs: needs(records), queues }, most, batch);
    const byTxn = new Map(records.map((record) => [record.txn, record]));
    return [found.chosen.map((txn) => byTxn.get(txn) as Held), found.more];
  }

  /** Whether transactions of classes that go up first wait which are not among those that go now. */
  async urgent(sending: readonly Sending[]): Promise<boolean> {
    const classes = [...this.work.tables.queues.values()].filter(({ direction }) => direction === "upload_first");
    if (classes.length === 0) return false;
    const names = classes.map(({ name }) => name);
    const going = new Set(sending.map(({ txn }) => txn));
    const waiting = await this.all("pending", "sending");
    return waiting.some(({ txn, queue = "" }) => names.includes(queue) && !going.has(txn));
  }

  /** Give names, in the order of sending. To be on the disk before anything is sent: a name is never given twice. */
  name(chosen: readonly Held[], origin: string, nextN: number): Sending[] {
    const first = this.work.state.places + 1;
    this.work.set({ places: first + chosen.length - 1 });
    return chosen.map((record, i) => {
      const named: Held = { ...record, state: "sending", origin, n: nextN + i, place: first + i, notBefore: 0 };
      this.store.put(named);
      return spoken(named);
    });
  }

  /**
   * Take its name away: the hub does not know it any more, and so has let it go if it was asked to. One that a person
   * has taken back is taken back under its next name.
   */
  unname({ origin: _, n: _n, place: _place, withdraw, ...rest }: Held): void {
    const retries = this.work.tables.queues.get(rest.queue ?? "")?.retries ?? null;
    const isTooOften = withdraw === "release" && retries !== null && rest.attempts > retries;
    const cancelled = withdraw === "cancel" ? { withdraw } : {};
    this.store.put({ ...rest, ...cancelled, state: isTooOften ? "parked" : "pending" });
  }

  /** It goes anew, as if it had never been sent. */
  again({ origin: _, n: _n, place: _place, withdraw: _withdraw, result: _result, ...rest }: Held): void {
    this.store.put({ ...rest, state: "pending", attempts: 0, notBefore: 0 });
  }

  /** It leaves the outbox: the hub has it, or nobody wants it. */
  done({ txn }: Held): void {
    this.store.delete(txn);
  }

  /** Keep it, readable, among the refused ones. */
  refuse(record: Held, result: Result): void {
    this.store.put({ ...record, state: "refused", result });
  }

  put(record: Held): void {
    this.store.put(record);
  }
}

export function isHeld(record: Held, now: number): boolean {
  return record.state === "parked" || (record.notBefore >= now && record.notBefore <= now + MAX_HOLD);
}

function spoken(record: Held): Sending {
  const { txn, size, origin = "", n = 0, label, withdraw } = record;
  const withdrawn = withdraw !== undefined;
  const ops = withdrawn ? [] : (record.ops as unknown as Transaction["ops"]);
  return { txn, size, origin, n, message: { origin, n, ops, label, withdrawn } };
}

/** The bytes of a value on the wire, about. */
export function sizeOf(value: Wire): number {
  return JSON.stringify(value).length;
}
