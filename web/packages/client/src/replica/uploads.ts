// Uploads: what goes out, under which names, and which transaction is to blame when the hub cannot process it.
import type { HoldfastError } from "../errors";
import { randomBits } from "../ids";
import { newOrigin } from "../kernel/clock";
import { MAX_OPERATIONS, MAX_REQUEST, MAX_TRANSACTIONS, type Result } from "../protocol/messages";
import { dependants, needs } from "./dependencies";
import type { Device } from "./device";
import { type Held, MAX_HOLD, Outbox, type Sending } from "./outbox";
import type { Transfer } from "./progress";
import type { Work } from "./work";
import { deviceClock } from "./writing";

const MAX_TRANSACTION = MAX_REQUEST - 1024 * 1024;
const MOST = MAX_TRANSACTIONS / 2;
/** So many milliseconds a transaction that the hub cannot process is held back; each time four times longer. */
const FIRST_HOLD = 60 * 1000;
const BLAMED = new Set(["internal_error", "request_malformed", "request_too_large"]);
/** Answers of something on the way to the hub that may be about one transaction in the request. */
const BLAMED_STATUS = new Set([400, 403, 406, 413, 414, 422, 500, 501]);

/** What one syncer sends, under origins that it has minted. */
export class Uploads {
  sent: readonly Sending[] = [];
  /** Another request is needed. */
  more = false;
  private inFlight = false;
  private most = MOST;
  private suspect: { readonly txn: number; readonly error: string } | null = null;
  private origin = newOrigin(randomBits(48));
  private nextN = 1;

  constructor(
    private readonly device: Device,
    private readonly transfer: Transfer,
  ) {}

  /**
   * Choose what the next request holds: about `batch` bytes. Names are on the disk before it returns. Gives whether
   * something urgent is left, for which the answer should be short.
   */
  async begin(batch: number, answered: ReadonlyMap<string, number>, allowed: boolean): Promise<boolean> {
    const [sending, more] = allowed ? await this.choose(batch, answered) : [[], false];
    this.nextN += sending.filter(({ origin, n }) => origin === this.origin && n >= this.nextN).length;
    [this.sent, this.more, this.inFlight] = [sending, more, true];
    this.transfer.asks(sending.length > 0);
    if (sending.length > 0) this.device.say({ type: "queue", failed: false });
    return more && (await this.device.read((work) => new Outbox(work).urgent(sending)));
  }

  /** Whether something waits to be sent. */
  async anythingWaits(): Promise<boolean> {
    return this.device.read(async (work) => {
      const outbox = new Outbox(work);
      if ((await outbox.sending()).length > 0) return true;
      return (await outbox.choose(deviceClock(), 1, 1))[0].length > 0;
    });
  }

  private async choose(batch: number, answered: ReadonlyMap<string, number>): Promise<[readonly Sending[], boolean]> {
    // An empty request shows whether the hub works at all, before a transaction is blamed.
    if (this.suspect !== null) return [[], true];
    if (!(await this.anythingWaits())) return [[], false];
    return this.device.write(async (work) => {
      const outbox = new Outbox(work);
      const sending = await outbox.sending();
      const [again, more] = outbox.unanswered(sending, answered, this.most, batch);
      // Those that were sent before go alone: as long as nobody knows where they are, nothing new gets a name.
      if (again.length > 0) return [again, true];
      if (sending.some(({ withdraw }) => withdraw !== undefined)) return [[], true];
      const [chosen, left] = await outbox.choose(deviceClock(), this.most, batch);
      const fitting = await this.withoutOversized(work, outbox, chosen);
      return [outbox.name(fitting, this.origin, this.nextN), more || left];
    });
  }

  /** Move transactions that no request can carry to the refused ones. */
  private async withoutOversized(work: Work, outbox: Outbox, chosen: readonly Held[]): Promise<Held[]> {
    const isTooLarge = ({ size, ops }: Held): boolean => size > MAX_TRANSACTION || ops.length > MAX_OPERATIONS;
    for (const record of chosen.filter(isTooLarge)) {
      const message =
        `the transaction has ${record.ops.length} operations of ${record.size} bytes; ` +
        `a request carries at most ${MAX_OPERATIONS} and ${MAX_TRANSACTION} bytes`;
      outbox.refuse(record, refusal("transaction_too_large", message));
      for (const known of await work.load(record.rows)) await work.refold(known);
    }
    return chosen.filter((record) => !isTooLarge(record));
  }

  /** The hub could not process the last request. Whether to go on at once, with less of it. */
  narrow(error: HoldfastError): boolean {
    if (!mayBeAboutOne(error) || (this.sent.length === 0 && this.suspect === null)) return false;
    if (this.suspect !== null) {
      [this.suspect, this.most] = [null, MOST];
      return false;
    }
    const [first] = this.sent;
    if (this.sent.length > 1) this.most = Math.floor(this.sent.length / 2);
    else if (first !== undefined) this.suspect = { txn: first.txn, error: `${error.code}: ${error.message}` };
    return true;
  }

  /** The answer begins: so much of what was sent is done, and at most so many rows come. */
  begins(through: Readonly<Record<string, number>>, ahead: number): void {
    const done = this.sent.filter(({ origin, n }) => n <= (through[origin] ?? 0));
    const operations = done.reduce((sum, { message }) => sum + message.ops.length, 0);
    const size = done.reduce((sum, one) => sum + one.size, 0);
    this.transfer.answered(done.length, operations, size, ahead);
  }

  /** The hub has processed the request, up to these numbers; if it was the empty one, the suspect is to blame. */
  async answered(through: Readonly<Record<string, number>>): Promise<void> {
    const { suspect } = this;
    this.suspect = null;
    this.most = Math.min(this.most * 2, MOST);
    if (suspect !== null) await this.blame(suspect.txn, suspect.error);
    await this.renameLost(through);
  }

  private async blame(txn: number, error: string): Promise<void> {
    [this.most, this.more] = [MOST, true];
    await this.device.write(async (work) => {
      const outbox = new Outbox(work);
      const sending = await outbox.sending();
      const guilty = sending.find((record) => record.txn === txn);
      if (guilty === undefined) return;
      const wait = Math.min(FIRST_HOLD * 4 ** guilty.attempts, MAX_HOLD);
      const held = { ...guilty, attempts: guilty.attempts + 1, error, notBefore: deviceClock() + wait };
      const oldestFirst = [...sending].sort((a, b) => a.txn - b.txn);
      const needing = new Set(dependants(needs(oldestFirst), [guilty.txn]));
      for (const record of [held, ...sending.filter((other) => needing.has(other.txn))]) {
        outbox.put({ ...record, withdraw: record.withdraw ?? "release" });
      }
    });
    this.device.say({ type: "queue", failed: true });
  }

  /** Transactions behind a gap that the hub cannot close get new names: it has lost what came before (trap 2). */
  private async renameLost(through: Readonly<Record<string, number>>): Promise<void> {
    const first = new Map<string, number>();
    for (const { origin, n } of this.sent) if (!first.has(origin)) first.set(origin, n);
    const lost = [...first].filter(([origin, n]) => (through[origin] ?? n - 1) < n - 1).map(([origin]) => origin);
    if (lost.length === 0) return;
    await this.device.write(async (work) => {
      const outbox = new Outbox(work);
      for (const record of await outbox.sending()) {
        if (!lost.includes(record.origin ?? "")) continue;
        outbox.unname(record);
      }
    });
    this.origin = newOrigin(randomBits(48));
    this.nextN = 1;
    this.more = true;
  }

  /**
   * Whether something is on its way to the hub that this answer says nothing about: its rows may or may not have the
   * effect in them already. They wait for the answer to that, from which it is known (nothing counts twice).
   */
  async missesAnswers(through: Readonly<Record<string, number>>, live: boolean): Promise<boolean> {
    const known = new Map(Object.entries(through));
    if (!live) {
      this.inFlight = false;
      for (const { origin, n } of this.sent) known.set(origin, Math.max(known.get(origin) ?? 0, n));
    }
    const sending = await this.device.read((work) => new Outbox(work).sending());
    const missing = sending.some(({ origin = "", n = 0 }) => n > (known.get(origin) ?? 0));
    if (missing && !this.inFlight) this.more = true;
    return missing;
  }
}

function mayBeAboutOne(error: HoldfastError): boolean {
  const status = error.details["status"];
  if (BLAMED.has(error.code) || status === 413) return true;
  return error.code === "hub_error" && typeof status === "number" && BLAMED_STATUS.has(status);
}

function refusal(code: string, message: string): Result {
  return { origin: "", n: 0, outcome: "refused", code, message, table: "", key: "", column: "", details: {} };
}
