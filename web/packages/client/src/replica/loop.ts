// The loop of the tab that syncs: a live channel where one works, else rounds from time to time; after a failure when the
// schedule says so. Hints of the browser (online, connection changed) only make it look sooner.
import { HoldfastError } from "../errors";
import type { Device } from "./device";
import type { Exchanges } from "./exchange";
import { Ladder, Schedule } from "./backoff";
import { type Told, LiveLink } from "./live";
import type { Here, Presence } from "./presence";
import type { Trigger } from "./sync_log";
import type { Http } from "./http";

const POLL_SECONDS = 30;
const SILENCE_SECONDS = 60;
/** Sooner than this nobody looks again: a clock that is asked for longer waits is asked for so many seconds. */
const LONGEST_WAIT_SECONDS = 3600;

/** What the loop does. */
export type LoopState = "connecting" | "connected" | "offline" | "paused" | "blocked" | "stopped";

export interface LoopStatus {
  readonly state: LoopState;
  readonly channel: "none" | "websocket" | "poll";
  readonly error: string | null;
  /** Milliseconds until the next attempt, where one waits for its time. */
  readonly retryIn: number | null;
}

/** What happened since somebody looked: pieces of answers, the end of the channel, and reasons for a round. */
class Inbox implements Told {
  /** Why a round is wanted; null: none is. */
  wanted: Trigger | null = null;
  wish = false;
  hint = false;
  private readonly pieces: Uint8Array[] = [];
  /** Who announces what is to be said anew. */
  announces = true;
  private error: HoldfastError | null = null;
  private wake: (() => void) | null = null;
  private happened = false;

  constructor(private readonly presence: Presence) {}

  present(here: Here): void {
    this.presence.heard(here);
  }

  piece(bytes: Uint8Array): void {
    this.pieces.push(bytes);
    this.woken();
  }

  lost(error: HoldfastError): void {
    this.error = error;
    this.woken();
  }

  woken(): void {
    this.happened = true;
    this.wake?.();
  }

  /** Forget what came over a channel that is closed. */
  clear(): void {
    this.pieces.length = 0;
    this.error = null;
  }

  isEmpty(): boolean {
    return this.pieces.length === 0;
  }

  /** Throws the error of a lost channel, after everything that came over it. */
  check(): void {
    if (this.error !== null && this.pieces.length === 0) throw this.error;
  }

  /** Wait until something happens that nobody has waited for yet, at most so many seconds. */
  async wait(seconds: number): Promise<void> {
    if (!this.happened) await this.sleep(seconds);
    this.happened = false;
  }

  private async sleep(seconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, Math.min(seconds, LONGEST_WAIT_SECONDS)) * 1000);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.wake = null;
  }

  /** The pieces of one answer, as they come. */
  async *answer(): AsyncGenerator<Uint8Array> {
    let until = now() + SILENCE_SECONDS;
    for (;;) {
      const piece = this.pieces.shift();
      if (piece !== undefined) {
        yield piece;
        until = now() + SILENCE_SECONDS;
        continue;
      }
      this.check();
      if (now() >= until) {
        throw new HoldfastError("network", `the hub was silent for ${SILENCE_SECONDS} seconds inside an answer`);
      }
      await this.wait(until - now());
    }
  }
}

export class Loop {
  private readonly inbox: Inbox;
  private readonly schedule: Schedule;
  private readonly ladder: Ladder;
  private stopped = false;
  private link: LiveLink | null = null;
  private status: LoopStatus = { state: "connecting", channel: "none", error: null, retryIn: null };

  constructor(
    private readonly device: Device,
    private readonly exchanges: Exchanges,
    private readonly http: Http,
    private readonly presence: Presence,
    private readonly told: (status: LoopStatus) => void,
    random: () => number = Math.random,
  ) {
    this.inbox = new Inbox(presence);
    this.schedule = new Schedule(random, now());
    this.ladder = new Ladder(random);
  }

  /** Something was written. */
  commit(): void {
    this.inbox.wanted ??= "commit";
    this.inbox.woken();
  }

  /** What the tabs announce has changed. */
  announce(): void {
    this.inbox.announces = true;
    this.inbox.woken();
  }

  /** Tell the tabs again how it stands: one asks. */
  tellAgain(): void {
    this.device.say({ type: "status", status: this.status });
  }

  /** Try now: a person asks (`person`), or something says that the network is back. */
  wish(person: boolean): void {
    this.inbox.wanted ??= person ? "poke" : "retry";
    if (person) this.inbox.wish = true;
    else this.inbox.hint = true;
    this.inbox.woken();
  }

  /** End: what is under way is broken off, nothing is lost by that. */
  stop(): void {
    this.stopped = true;
    this.http.abort();
    this.link?.close();
    this.inbox.lost(new HoldfastError("closed", "the device was closed"));
  }

  /** Everything, until `stop`. */
  async run(): Promise<void> {
    this.become("connecting", "none");
    while (!this.isOver()) {
      const wait = this.schedule.nextAt - now();
      if (wait > 0) {
        await this.inbox.wait(wait);
        this.takeWishes();
        continue;
      }
      try {
        await this.session();
      } catch (error) {
        if (!this.isOver()) await this.failed(error);
      }
    }
    this.become("stopped", "none");
  }

  private isOver(): boolean {
    return this.stopped;
  }

  private takeWishes(): void {
    const { wish, hint } = this.inbox;
    [this.inbox.wish, this.inbox.hint] = [false, false];
    if (wish || hint) this.schedule.wish(now(), wish);
  }

  private async failed(error: unknown): Promise<void> {
    if (error instanceof HoldfastError && (await this.exchanges.failed(error))) return;
    const coded =
      error instanceof HoldfastError
        ? error
        : new HoldfastError("loop_failed", `the sync loop failed: ${String(error)}`);
    const { state } = this.schedule.failed(now(), coded, this.exchanges.progressed);
    const wait = this.schedule.nextAt - now();
    this.become(state, "none", `${coded.code}: ${coded.message}`, wait === Infinity ? null : Math.round(wait * 1000));
  }

  /** From one connection to its failure, or until the live channel deserves another try. */
  private async session(): Promise<void> {
    this.schedule.begin(now());
    if (this.schedule.probing) await this.exchanges.round("retry", { uploads: false });
    if (!this.ladder.allows(now())) {
      await this.poll();
      return;
    }
    const began = now();
    this.inbox.clear();
    try {
      this.link = await LiveLink.open(this.http.url, await this.http.credentials(), this.inbox);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "network") throw error;
      // A round shows whether it is the hub that cannot be reached, or only this kind of channel.
      await this.rounds("poll");
      this.ladder.failed(now());
      return;
    }
    try {
      await this.live(this.link);
    } catch (error) {
      this.ladder.lived(now(), now() - began);
      throw error;
    } finally {
      this.link.close();
      this.link = null;
      this.presence.clear();
    }
  }

  /** Why the first round of a session is made. */
  private first(): Trigger {
    return this.schedule.failures > 0 ? "retry" : "start";
  }

  /** Rounds until nothing is left. */
  private async rounds(channel: "poll"): Promise<void> {
    let trigger = this.inbox.wanted ?? this.first();
    this.inbox.wanted = null;
    let again = true;
    while (again && !this.isOver()) {
      again = (await this.exchanges.round(trigger)).again;
      trigger = "more";
    }
    this.well(channel);
  }

  private async poll(): Promise<void> {
    await this.rounds("poll");
    let due = now() + POLL_SECONDS;
    while (!this.isOver() && !this.ladder.allows(now())) {
      await this.inbox.wait(due - now());
      this.takeWishes();
      if (this.inbox.wanted === null && now() < due) continue;
      this.inbox.wanted ??= "timer";
      await this.rounds("poll");
      due = now() + POLL_SECONDS;
    }
  }

  /** Rounds over the channel, and what the hub sends by itself. */
  private async live(link: LiveLink): Promise<void> {
    this.inbox.announces = this.presence.announcesAny;
    let overdue = await this.ask(link);
    while (!this.isOver()) {
      if (this.inbox.announces) link.send(this.presence.message());
      this.inbox.announces = false;
      if (!this.inbox.isEmpty()) {
        const taken = await this.exchanges.receive(this.inbox.answer());
        if (taken.live) link.send(new TextEncoder().encode('{"applied":true}'));
        else overdue = 0;
        if (taken.again) this.inbox.wanted ??= "more";
        if (overdue === 0 && this.inbox.wanted === null) this.well("websocket");
      }
      this.inbox.check();
      this.takeWishes();
      if (overdue === 0 && this.inbox.wanted !== null) overdue = await this.ask(link);
      await this.inbox.wait(overdue === 0 ? LONGEST_WAIT_SECONDS : overdue - now());
      if (overdue !== 0 && now() >= overdue && this.inbox.isEmpty()) {
        throw new HoldfastError("network", "the hub did not answer on the live channel in time");
      }
    }
  }

  /** Send a request; gives when its answer is overdue. */
  private async ask(link: LiveLink): Promise<number> {
    const trigger = this.inbox.wanted ?? this.first();
    this.inbox.wanted = null;
    const request = await this.exchanges.build(trigger);
    const [before, after] = [new TextEncoder().encode('{"request":'), new TextEncoder().encode("}")];
    const message = new Uint8Array(before.length + request.length + after.length);
    message.set(before);
    message.set(request, before.length);
    message.set(after, before.length + request.length);
    link.send(message);
    return now() + this.http.meter.silence(request.length);
  }

  /** Everything is answered and applied. */
  private well(channel: "websocket" | "poll"): void {
    this.schedule.succeeded(now());
    this.become("connected", channel);
  }

  private become(
    state: LoopState,
    channel: LoopStatus["channel"],
    error: string | null = null,
    retryIn: number | null = null,
  ): void {
    const status = { state, channel, error, retryIn };
    this.status = status;
    this.told(status);
    if (state !== "stopped") this.device.say({ type: "status", status });
  }
}

/** Seconds of a clock that only goes forward. */
function now(): number {
  return performance.now() / 1000;
}
