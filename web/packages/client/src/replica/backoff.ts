// When the next attempt may be made: exponential delays with full jitter, a budget for retries, a probe after failures in
// a row.
//
// Pure: `now` is passed in, in seconds of a clock that only goes forward; `random()` gives a number in [0, 1).
// Sources: Brooker, Exponential Backoff and Jitter, AWS Architecture Blog, 2015; Beyer et al., Site Reliability
// Engineering, 2016, chapter 21 (retry budgets); Nygard, Release It!, 2007 (circuit breakers).
import type { HoldfastError } from "../errors";
import { type Behaviour, behaviour } from "./failures";

const FIRST_SECONDS = 0.5;
const LAST_SECONDS = 60;
/** First and longest delay where only a change of the application or the hub will help. */
const SLOW_SECONDS = 60;
const SLOWEST_SECONDS = 3600;
/** The longest wait that a hub may ask for with Retry-After. */
const MOST_SECONDS = 3600;
/** So many retries may be made in a burst, whatever asks for them, and one in so many seconds in the long run. */
const RETRIES = 30;
const RETRY_EVERY_SECONDS = 20;
/** So many retries an attempt earns that brought something through. */
const EARNED = 5;
/** After so many failures in a row the next attempt is a round without uploads. */
const TRIP = 3;

/** Which delays follow one another, of one hub. */
export class Schedule {
  /** Attempts that failed in a row. */
  failures = 0;
  private slow = 0;
  private notBefore = 0;
  private next: number;
  private left = RETRIES;
  private at: number;

  constructor(
    private readonly random: () => number,
    now: number,
  ) {
    this.next = this.at = now;
  }

  /** When an attempt may be made; infinite when only a wish of the application leads to one. */
  get nextAt(): number {
    return Math.max(this.next, this.notBefore);
  }

  /** Whether the next attempt is a probe. */
  get probing(): boolean {
    return this.failures >= TRIP;
  }

  /** An attempt is made. */
  begin(now: number): void {
    if (this.failures === 0) return;
    this.refill(now);
    this.left = Math.max(0, this.left - 1);
  }

  /** An attempt failed. `progress`: something new had come through before, so that the next one need not wait long. */
  failed(now: number, error: HoldfastError, progress: boolean): Behaviour {
    const what = behaviour(error);
    if (progress) this.succeeded(now);
    const wish = wished(error.details["retry_after"]);
    this.notBefore = now + wish;
    const ceiling =
      what.retry === "slowly"
        ? Math.min(SLOWEST_SECONDS, SLOW_SECONDS * 2 ** Math.min(this.slow++, 16))
        : Math.min(LAST_SECONDS, FIRST_SECONDS * 2 ** Math.min(this.failures, 16));
    this.failures++;
    const delay = what.retry === "asked" ? Infinity : this.random() * ceiling;
    this.next = now + Math.max(delay, wish, this.wait(now));
    return what;
  }

  /** An attempt succeeded. */
  succeeded(now: number): void {
    this.failures = this.slow = 0;
    this.refill(now);
    this.left = Math.min(RETRIES, this.left + EARNED);
    this.next = now;
  }

  /**
   * Try now: the application asks for a sync (`person`), or something says that the network is back, which may happen
   * every second and is held to the budget. What the hub asked for (Retry-After) holds in any case.
   */
  wish(now: number, person: boolean): void {
    this.next = Math.min(this.next, person ? now : now + this.wait(now));
  }

  /** Seconds until a retry is in the budget. Waits are random, so that they never beat with what breaks the network. */
  private wait(now: number): number {
    this.refill(now);
    return Math.max(0, (1 - this.left) * RETRY_EVERY_SECONDS) * (1 + this.random());
  }

  private refill(now: number): void {
    this.left = Math.min(RETRIES, this.left + Math.max(0, now - this.at) / RETRY_EVERY_SECONDS);
    this.at = now;
  }
}

/** The seconds that a hub asked to wait, up to an hour; what is no number does not count. */
function wished(retryAfter: unknown): number {
  if (typeof retryAfter !== "number" || Number.isNaN(retryAfter)) return 0;
  return Math.min(Math.max(retryAfter, 0), MOST_SECONDS);
}

/** Delays of a channel that does not work here: a random time of up to a minute, doubled up to an hour. */
export class Ladder {
  private failures = 0;
  private short = 0;
  private again = 0;

  constructor(private readonly random: () => number) {}

  /** Whether the live channel may be tried now. */
  allows(now: number): boolean {
    return now >= this.again;
  }

  /** It did not come about, while rounds worked. */
  failed(now: number): void {
    const ceiling = Math.min(3600, 60 * 2 ** Math.min(this.failures++, 16));
    this.short = 0;
    this.again = now + ceiling * (0.5 + this.random() / 2);
  }

  /** It ended after so many seconds; three that broke soon have not worked. */
  lived(now: number, seconds: number): void {
    if (seconds >= 20) this.short = this.failures = 0;
    else if (++this.short >= 3) this.failed(now);
  }
}
