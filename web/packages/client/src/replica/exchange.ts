// Rounds over a way to the hub, one at a time over all tabs: what `sync()` and the loop both drive.
import { HoldfastError } from "../errors";
import type { Result } from "../protocol/messages";
import type { Device } from "./device";
import type { Http } from "./http";
import { Rounds, type Taken } from "./round";

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

export class Exchanges {
  /** Whether the last round that failed had brought pages. */
  progressed = false;
  private readonly rounds: Rounds;
  private wholeOnly = false;
  private steals = false;

  constructor(
    private readonly device: Device,
    private readonly http: Http,
  ) {
    this.rounds = new Rounds(device);
  }

  anythingWaits(): Promise<boolean> {
    return this.rounds.anythingWaits();
  }

  /** The next request, for a live channel. */
  async build(): Promise<Uint8Array> {
    const { page, batch } = this.http.meter;
    return this.locked(() => this.rounds.build({ page, batch }));
  }

  /** One answer from a live channel: to the last request, or one that the hub sent by itself. */
  async receive(chunks: AsyncIterable<Uint8Array>): Promise<Taken> {
    return this.locked(() => this.rounds.receive(chunks));
  }

  /** After a failure on a live channel: whether the next request, with less in it, is worth a try at once. */
  narrow(error: HoldfastError): boolean {
    return this.rounds.narrow(error);
  }

  /** Rounds until nothing is left. */
  async sync(wishes: { readonly digests?: boolean } = {}): Promise<[SyncReport, Taken]> {
    const taken: Taken[] = [];
    do taken.push(await this.round({ ...wishes, whole: true }));
    while (taken.at(-1)?.again === true);
    return [reportOf(taken), taken.at(-1) as Taken];
  }

  /** One round; what fails because of one transaction is tried again with fewer of them. */
  async round(wishes: {
    readonly uploads?: boolean;
    readonly digests?: boolean;
    /** Somebody waits for it: say the whole request at once. */
    readonly whole?: boolean;
  }): Promise<Taken> {
    return this.locked(async () => {
      for (;;) {
        try {
          return await this.exchange(wishes);
        } catch (error) {
          if (!(error instanceof HoldfastError) || !this.rounds.narrow(error)) throw error;
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

  private async exchange(wishes: { uploads?: boolean; digests?: boolean; whole?: boolean }): Promise<Taken> {
    const { page, batch } = this.http.meter;
    const request = await this.rounds.build({ ...wishes, page, batch });
    const unchanged = wishes.whole === true || this.wholeOnly ? null : await this.short();
    if (unchanged !== null) return unchanged;
    const exchange = await this.http.exchange(request);
    if (exchange.status !== 200) throw await exchange.error();
    return this.rounds.receive(exchange.chunks());
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
