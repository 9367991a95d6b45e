// What people may do with a transaction in the outbox: cancel, retry, drop. Each in one transaction of the engine.
// What is allowed when, and what becomes of it, is the table of Python's states.py (docs/reference/queue.md).
import { HoldfastError } from "../errors";
import { dependants, needs } from "./dependencies";
import { type Held, Outbox } from "./outbox";
import { UNDECIDED } from "./queued";
import type { Work } from "./work";

/**
 * `cancelled` are rolled back here and gone. `asked` may be on the hub already: it is asked not to take them, and they
 * go when it says so; what it had taken stays.
 */
export interface Cancelled {
  readonly cancelled: readonly number[];
  readonly asked: readonly number[];
}

const ALLOWED: Readonly<Record<"cancel" | "retry" | "drop", readonly Held["state"][]>> = {
  cancel: ["pending", "sending"],
  retry: ["pending", "refused", "parked"],
  drop: ["refused", "parked"],
};

export class Steering {
  private readonly outbox: Outbox;

  constructor(private readonly work: Work) {
    this.outbox = new Outbox(work);
  }

  /**
   * Take a transaction back, and with it all that depends on it. Throws `has_dependants` when there are such and
   * `withDependants` is not given; `transaction_unknown`, `transaction_state`.
   */
  async cancel(txn: number, withDependants: boolean): Promise<Cancelled> {
    await this.require(txn, "cancel");
    return this.takeBack(txn, withDependants);
  }

  /** Forget a refused transaction; roll a parked one back, like `cancel`. */
  async drop(txn: number, withDependants: boolean): Promise<Cancelled> {
    const record = await this.require(txn, "drop");
    if (record.state === "parked") return this.takeBack(txn, withDependants);
    this.outbox.done(record);
    return { cancelled: [txn], asked: [] };
  }

  /** Send a refused or parked transaction again, as it is; one that is held back, at once. Throws `not_sendable`, too. */
  async retry(txn: number): Promise<void> {
    const record = await this.require(txn, "retry");
    if (record.state === "refused" && record.origin === undefined) {
      const says = `transaction ${txn} was refused on this device because no request can carry it: write it again`;
      throw new HoldfastError("not_sendable", says, { transaction: txn });
    }
    this.outbox.again(record);
    await this.showAnew([record]);
  }

  private async takeBack(txn: number, withDependants: boolean): Promise<Cancelled> {
    const records = await this.outbox.all(...UNDECIDED);
    const others = dependants(needs(records), [txn]);
    if (others.length > 0 && !withDependants) {
      const says = `transaction ${txn} cannot go alone: ${others.join(", ")} depend on it; take them back with it, or not at all`;
      throw new HoldfastError("has_dependants", says, { transaction: txn, dependants: others });
    }
    const every = new Set([txn, ...others]);
    const chosen = records.filter((record) => every.has(record.txn));
    const asked = chosen.filter(({ state }) => state === "sending");
    const gone = chosen.filter(({ state }) => state !== "sending");
    for (const record of asked) this.outbox.put({ ...record, withdraw: "cancel" });
    for (const record of gone) this.outbox.done(record);
    await this.showAnew(gone);
    return { cancelled: gone.map((record) => record.txn), asked: asked.map((record) => record.txn) };
  }

  /** Rows whose waiting operations have changed show confirmed + waiting. */
  private async showAnew(records: readonly Held[]): Promise<void> {
    const names = [...new Set(records.flatMap(({ rows }) => rows))];
    for (const known of await this.work.load(names)) await this.work.refold(known);
  }

  private async require(txn: number, event: keyof typeof ALLOWED): Promise<Held> {
    const record = await this.outbox.get(txn);
    if (record === null) {
      const says = `the outbox has no transaction ${txn}: it was answered or taken back`;
      throw new HoldfastError("transaction_unknown", says, { transaction: txn });
    }
    if (ALLOWED[event].includes(record.state)) return record;
    const says = `transaction ${txn} is ${record.state}; ${event} is for what is ${ALLOWED[event].join(" or ")}`;
    throw new HoldfastError("transaction_state", says, { transaction: txn, state: record.state });
  }
}
