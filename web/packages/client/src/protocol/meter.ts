// What a link can do, measured: round-trip and throughput, and from them timeouts and the sizes of pieces.
//
// Pure: times are passed in, in seconds. The estimate of the round-trip, its variation and the doubling after a failure
// are those of RFC 6298.

export const LEAST_PAGE = 1024;
export const MOST_PAGE = 256 * 1024;
export const LEAST_BATCH = 512;
export const MOST_BATCH = 4 * 1024 * 1024;
/** A page is so large that it takes about so long: what a broken connection costs at most. */
const PAGE_SECONDS = 1;
const BATCH_SECONDS = 4;
/** Requests up to here measure the round-trip, larger ones the throughput. */
const SMALL = 4 * 1024;
const SILENCE_SECONDS = 60;
/** The hub may think for so long, beside the network. */
const GRACE_SECONDS = 5;
const MOST_SECONDS = 300;
/** Bytes a second that any link is given the time for. */
const FLOOR = 1000;

/** Measurements of one link. Sizes are in bytes before compression, `seconds` as measured by the caller. */
export class Meter {
  roundTrip: number | null = null;
  up: number | null = null;
  down: number | null = null;
  private variation = 0;
  private patience = 1;
  private mostPage = MOST_PAGE;
  private mostBatch = MOST_BATCH;

  /** The first byte of an answer came `seconds` after a request of `sent` bytes was begun. */
  answered(sent: number, seconds: number): void {
    if (sent > SMALL) {
      this.up = smoothed(this.up, sent / Math.max(seconds - (this.roundTrip ?? 0), 1e-3));
    } else if (this.roundTrip === null) {
      this.roundTrip = seconds;
      this.variation = seconds / 2;
    } else {
      this.variation += (Math.abs(this.roundTrip - seconds) - this.variation) / 4;
      this.roundTrip += (seconds - this.roundTrip) / 8;
    }
  }

  /** A whole answer of `received` bytes was read; `seconds` of that were spent waiting for the network. */
  read(received: number, seconds: number): void {
    this.patience = 1;
    if (received > SMALL) this.down = smoothed(this.down, received / Math.max(seconds, 1e-3));
    if (2 * received > this.mostPage) this.mostPage = Math.min(Math.floor((this.mostPage * 3) / 2), MOST_PAGE);
  }

  /** A request of `sent` bytes was answered. */
  delivered(sent: number): void {
    if (2 * sent > this.mostBatch) this.mostBatch = Math.min(Math.floor((this.mostBatch * 3) / 2), MOST_BATCH);
  }

  /** An answer broke off after `received` bytes: the next pages are smaller, so that whole ones come through. */
  cut(received: number): void {
    this.patience = Math.min(2 * this.patience, 8);
    const half = Math.floor(this.mostPage / 2);
    this.mostPage = Math.max(LEAST_PAGE, Math.min(half, Math.max(received, LEAST_PAGE)));
  }

  /** No answer came to a request of `sent` bytes: the next one is smaller, and is waited for longer. */
  lost(sent: number): void {
    this.patience = Math.min(2 * this.patience, 8);
    if (sent > LEAST_BATCH) this.mostBatch = Math.max(LEAST_BATCH, Math.floor(Math.min(this.mostBatch, sent) / 2));
  }

  /** Bytes that a page should have. */
  get page(): number {
    const wish = this.down === null ? MOST_PAGE : Math.floor(this.down * PAGE_SECONDS);
    return Math.max(LEAST_PAGE, Math.min(wish, this.mostPage));
  }

  /** Bytes of transactions that a request should have. */
  get batch(): number {
    const wish = this.up === null ? MOST_BATCH : Math.floor(this.up * BATCH_SECONDS);
    return Math.max(LEAST_BATCH, Math.min(wish, this.mostBatch));
  }

  /** Seconds without a byte after which a connection counts as broken, when `sent` bytes go out first. */
  silence(sent: number): number {
    const expected = (this.roundTrip ?? 0) + 4 * this.variation;
    const wait = this.roundTrip === null ? SILENCE_SECONDS : Math.max(10, GRACE_SECONDS + 4 * expected) * this.patience;
    return Math.min(wait, MOST_SECONDS) + (2 * sent) / Math.max(this.up ?? FLOOR, FLOOR);
  }
}

/** The estimate after another sample. */
function smoothed(known: number | null, sample: number): number {
  return known === null ? sample : known + (sample - known) / 4;
}
