// Rounds over a way to the hub, one at a time over all tabs: what `sync()` and the loop both drive.
import { HoldfastError } from "../errors";
import type { Result } from "../protocol/messages";
import type { Device } from "./device";
import type { Http } from "./http";
import type { Transfer } from "./progress";
import { Rounds, type Taken } from "./round";
import { Round, type SyncLog, type Trigger } from "./sync_log";

/** What a sync did. */
export interface SyncReport {
  readonly pushed: number;
  readonly merged: number;
  readonly pulled: number;
  readonly conflicts: readonly string[];
  readonly refused: readonly Result[];
  readonly rounds: number;
}

const JSON_LIMIT = 64 * 1024;

/** Who is told what the rounds do. */
export interface Told {
  readonly transfer: Transfer;
  readonly log: SyncLog;
}

export interface RoundWishes {
  readonly uploads?: boolean;
  readonly digests?: boolean;
  /** Somebody waits for it: say the whole request at once. */
  readonly whole?: boolean;
}

export class Exchanges {
  /** Whether the last round that failed had brought pages. */
  progressed = false;
  private readonly rounds: Rounds;
  private wholeOnly = false;
  private steals = false;
  /** The request that has gone out over a live channel. */
  private asked: Round | null = null;

  constructor(
    private readonly device: Device,
    private readonly http: Http,
    private readonly told: Told,
  ) {
    this.rounds = new Rounds(device, told.transfer);
  }

  anythingWaits(): Promise<boolean> {
    return this.rounds.anythingWaits();
  }

  /** The next request, for a live channel. */
  async build(trigger: Trigger): Promise<Uint8Array> {
    const { page, batch } = this.http.meter;
    const round = new Round(trigger);
    const request = await this.locked(() => this.rounds.build({ page, batch }));
    this.asked = sent(round, request, this.rounds.sending);
    return request;
  }

  /** One answer from a live channel: to the last request, or one that the hub sent by itself. */
  async receive(chunks: AsyncIterable<Uint8Array>): Promise<Taken> {
    const round = this.asked ?? new Round("news");
    const taken = await this.locked(() => this.rounds.receive(counted(chunks, round)));
    // What the hub had begun before our request came to it is news; the answer is still to come.
    if (!taken.live) this.asked = null;
    await this.note(taken.live ? new Round("news") : round, taken);
    return taken;
  }

  /** A live channel has failed. Whether the next request, with less in it, is worth a try at once. */
  async failed(error: HoldfastError): Promise<boolean> {
    const { asked } = this;
    this.asked = null;
    if (asked !== null) await this.told.log.note(asked, {}, error);
    return this.rounds.narrow(error);
  }

  private async note(round: Round, taken: Taken): Promise<void> {
    const { accepted, results, conflicts, rows, again } = taken;
    const refused = results.filter(({ outcome }) => outcome === "refused").length;
    const done = { accepted, refused, conflicts: conflicts.length, rows, complete: !again };
    await this.told.log.note(round, done, null);
    if (accepted > 0 || results.length > 0) this.device.say({ type: "queue", failed: false });
  }

  /** Rounds until nothing is left. */
  async sync(wishes: { readonly digests?: boolean } = {}): Promise<[SyncReport, Taken]> {
    const taken: Taken[] = [];
    const first: Trigger = wishes.digests === true ? "verify" : "sync";
    do taken.push(await this.round(taken.length === 0 ? first : "more", { ...wishes, whole: true }));
    while (taken.at(-1)?.again === true);
    return [reportOf(taken), taken.at(-1) as Taken];
  }

  /** One round; what fails because of one transaction is tried again with fewer of them. */
  async round(trigger: Trigger, wishes: RoundWishes = {}): Promise<Taken> {
    return this.locked(async () => {
      for (;;) {
        const round = new Round(trigger);
        try {
          const taken = await this.exchange(wishes, round);
          await this.note(round, taken);
          return taken;
        } catch (error) {
          this.told.transfer.rests();
          if (!(error instanceof HoldfastError)) throw error;
          await this.told.log.note(round, {}, error);
          if (!this.rounds.narrow(error)) throw error;
        }
      }
    });
  }

  /** The next round takes the lock from a tab that was frozen in the middle of one. */
  takeOver(): void {
    this.steals = true;
  }

  /** One round at a time, over all tabs. */
  private async locked<T>(work: () => Promise<T>): Promise<T> {
    this.progressed = false;
    const { steals } = this;
    this.steals = false;
    return navigator.locks.request(`${this.device.scope}:sync`, { steal: steals }, async () => {
      try {
        return await work();
      } catch (error) {
        this.progressed = this.rounds.kept > 0;
        throw error;
      }
    });
  }

  private async exchange(wishes: RoundWishes, round: Round): Promise<Taken> {
    const { page, batch } = this.http.meter;
    const request = await this.rounds.build({ ...wishes, page, batch });
    const unchanged = wishes.whole === true || this.wholeOnly ? null : await this.short();
    if (unchanged !== null) return unchanged;
    sent(round, request, this.rounds.sending);
    const exchange = await this.http.exchange(request);
    if (exchange.status !== 200) throw await exchange.error();
    return this.rounds.receive(counted(exchange.chunks(), round));
  }

  /** Ask in short whether anything is new, where that is likely to be all. Null: the whole request must be said. */
  private async short(): Promise<Taken | null> {
    const short = await this.rounds.short();
    if (short === null) return null;
    const exchange = await this.http.exchange(short);
    if (exchange.status === 200) {
      let body = new Uint8Array();
      for await (const piece of exchange.chunks()) {
        body = Uint8Array.of(...body, ...piece);
        if (body.length > JSON_LIMIT) break;
      }
      return this.rounds.unchanged(body);
    }
    const error = await exchange.error();
    if (error.code === "request_malformed") this.wholeOnly = true;
    else if (error.code !== "not_same") throw error;
    return null;
  }
}

/** A request of so many bytes and transactions goes out. */
function sent(round: Round, request: Uint8Array, transactions: number): Round {
  round.plainSent += request.length;
  round.transactions += transactions;
  return round;
}

/** The same pieces, with their bytes noted. */
async function* counted(chunks: AsyncIterable<Uint8Array>, round: Round): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    round.plainReceived += chunk.length;
    yield chunk;
  }
}

/** What several rounds did together. */
export function reportOf(taken: readonly Taken[]): SyncReport {
  const results = taken.flatMap((one) => one.results);
  return {
    pushed: taken.reduce((sum, { accepted }) => sum + accepted, 0),
    merged: results.filter(({ outcome }) => outcome === "merged").length,
    pulled: taken.reduce((sum, { rows }) => sum + rows, 0),
    conflicts: taken.flatMap(({ conflicts }) => conflicts),
    refused: results.filter(({ outcome }) => outcome === "refused"),
    rounds: taken.length,
  };
}
