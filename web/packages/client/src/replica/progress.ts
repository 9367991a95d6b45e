// How far a transfer is, and how long the rest will take: pure arithmetic over what the rounds report. Counts are of
// operations and rows; bytes are those of their JSON, before compression. Python: replica/progress.py.

/** The speed is that of so many seconds: a link that became slow shows soon. */
const WINDOW_SECONDS = 30;
const SAMPLE_SECONDS = 0.5;

/**
 * One direction. `rowsTotal` and `bytesTotal` are estimates, null while nobody knows; `secondsLeft` follows from the
 * speed of the last 30 seconds, null before there is one.
 */
export interface Flow {
  readonly rows: number;
  readonly rowsTotal: number | null;
  readonly bytes: number;
  readonly bytesTotal: number | null;
  readonly secondsLeft: number | null;
}

/**
 * How far a running sync is. `upload` counts operations that were answered, `download` rows that came; `rounds` exchanges
 * begun and `transactions` answered in this burst: everything from when a device begins to move data until it rests.
 */
export interface Progress {
  readonly rounds: number;
  readonly transactions: number;
  readonly upload: Flow;
  readonly download: Flow;
}

/** What a tab that syncs tells the others. `uploading`: from when transactions go out until the answer begins. */
export interface Moving {
  readonly uploading: boolean;
  readonly downloading: boolean;
  /** Without what still waits; null at rest. */
  readonly progress: Progress | null;
  /** Of uploads. */
  readonly bytesPerSecond: number | null;
}

export const AT_REST: Moving = { uploading: false, downloading: false, progress: null, bytesPerSecond: null };

/** The speed of one direction over the last seconds. */
class Speed {
  private samples: (readonly [at: number, done: number])[] = [];

  start(now: number): void {
    this.samples = [[now, 0]];
  }

  moved(now: number, done: number): void {
    const before = this.samples.at(-2);
    if (before !== undefined && now - before[0] < SAMPLE_SECONDS) this.samples.pop();
    this.samples.push([now, done]);
    while (this.samples.length > 2 && now - (this.samples[1]?.[0] ?? now) > WINDOW_SECONDS) this.samples.shift();
  }

  /** How many a second; null while nothing has moved in the window. */
  perSecond(now: number): number | null {
    const [first, last] = [this.samples[0], this.samples.at(-1)];
    if (first === undefined || last === undefined) return null;
    const [moved, elapsed] = [last[1] - first[1], now - first[0]];
    return moved > 0 && elapsed > 0 ? moved / elapsed : null;
  }
}

/** What the rounds of one tab have moved in this burst. `clock` gives seconds; `changed` is called after each step. */
export class Transfer {
  changed: () => void = () => undefined;
  private uploading = false;
  private downloading = false;
  private resting = true;
  private readonly up = new Speed();
  private readonly down = new Speed();
  private done = NOTHING;
  private ahead: number | null = null;

  constructor(private readonly clock: () => number) {}

  /** A request goes out; `sends`: with transactions in it. */
  asks(sends: boolean): void {
    if (this.resting) {
      this.done = NOTHING;
      this.ahead = null;
      this.up.start(this.clock());
      this.down.start(this.clock());
      this.resting = false;
    }
    this.done = { ...this.done, rounds: this.done.rounds + 1 };
    this.uploading = sends;
    this.changed();
  }

  /** The hub has processed so many of what was sent, and says that at most so many rows come from here on. */
  answered(transactions: number, operations: number, size: number, ahead: number | null): void {
    const { done } = this;
    this.uploading = false;
    this.done = {
      ...done,
      transactions: done.transactions + transactions,
      operations: done.operations + operations,
      operationBytes: done.operationBytes + size,
    };
    this.up.moved(this.clock(), this.done.operationBytes);
    this.ahead = ahead === null ? null : done.rows + ahead;
    this.downloading = (ahead ?? 0) > 0;
    this.changed();
  }

  /** A page has come. */
  page(rows: number, size: number): void {
    this.downloading = true;
    this.done = { ...this.done, rows: this.done.rows + rows, rowBytes: this.done.rowBytes + size };
    this.down.moved(this.clock(), this.done.rows);
    this.changed();
  }

  /** Everything is answered and applied, or it failed: the burst is over. */
  rests(): void {
    this.resting = true;
    [this.uploading, this.downloading] = [false, false];
    this.changed();
  }

  get moving(): Moving {
    if (this.resting) return AT_REST;
    const { rounds, transactions, operations, operationBytes: bytes } = this.done;
    const now = this.clock();
    const upload = { rows: operations, rowsTotal: operations, bytes, bytesTotal: bytes, secondsLeft: null };
    const progress = { rounds, transactions, upload, download: this.download(now) };
    const { uploading, downloading } = this;
    return { uploading, downloading, progress, bytesPerSecond: this.up.perSecond(now) };
  }

  private download(now: number): Flow {
    const { rows, rowBytes: bytes } = this.done;
    if (this.ahead === null) return { rows, rowsTotal: null, bytes, bytesTotal: null, secondsLeft: null };
    const rowsTotal = Math.max(this.ahead, rows);
    const speed = this.down.perSecond(now);
    return {
      ...{ rows, rowsTotal, bytes, bytesTotal: rows > 0 ? Math.floor((bytes * rowsTotal) / rows) : null },
      secondsLeft: speed === null ? null : (rowsTotal - rows) / speed,
    };
  }
}

const NOTHING = { rounds: 0, transactions: 0, operations: 0, operationBytes: 0, rows: 0, rowBytes: 0 };

/** The progress that a tab tells, with what waits now. */
export function withWaiting({ progress, bytesPerSecond }: Moving, operations: number, size: number): Progress | null {
  if (progress === null) return null;
  const { rows, bytes } = progress.upload;
  const secondsLeft = size > 0 && bytesPerSecond !== null ? size / bytesPerSecond : null;
  const upload = { rows, rowsTotal: rows + operations, bytes, bytesTotal: bytes + size, secondsLeft };
  return { ...progress, upload };
}
