// The outbox: transactions on their way to the hub, and those that were refused.
import type { Wire } from "../kernel/column";
import type { Result, Transaction } from "../protocol/messages";
import type { TransactionRecord } from "./file";
import { answer } from "./idb";
import type { RowName } from "./tables";
import type { Work } from "./work";

/** A request carries transactions of about so many bytes. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** A transaction is held back for at most so many milliseconds; one that waits longer has met a clock that was set. */
export const MAX_HOLD = 60 * 60 * 1000;
const AT_ONCE = 200;

/** A record that the database holds. */
export type Held = TransactionRecord & { readonly txn: number };

/** A transaction in a request: its local number, its name, and what is said of it. */
export interface Sending {
  readonly txn: number;
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
   * Which of those without a name go next, oldest first. What is held back holds back what needs it, and nothing else.
   * Gives them, and whether there are more.
   */
  async choose(now: number, most: number, batch: number): Promise<[Held[], boolean]> {
    const chosen: Held[] = [];
    const blocked = new Set<RowName>();
    let [size, more] = [0, false];
    await this.each((record) => {
      if (record.state !== "pending" && record.state !== "parked") return true;
      const names = [...record.rows, ...record.uses];
      if (isHeld(record, now) || names.some((name) => blocked.has(name))) {
        for (const name of record.rows) blocked.add(name);
        return true;
      }
      size += record.size;
      more = chosen.length > 0 && (size > Math.min(batch, BATCH_BYTES) || chosen.length >= most);
      if (!more) chosen.push(record);
      return !more;
    });
    return [chosen, more];
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

  /** Take its name away: the hub does not know it any more. */
  unname({ origin: _, n: _n, place: _place, withdraw: _withdraw, ...rest }: Held, state: "pending" | "parked"): void {
    this.store.put({ ...rest, state });
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
  const { txn, origin = "", n = 0, label, withdraw } = record;
  const withdrawn = withdraw !== undefined;
  const ops = withdrawn ? [] : (record.ops as unknown as Transaction["ops"]);
  return { txn, origin, n, message: { origin, n, ops, label, withdrawn } };
}

/** The bytes of a value on the wire, about. */
export function sizeOf(value: Wire): number {
  return JSON.stringify(value).length;
}
