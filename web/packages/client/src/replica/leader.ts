// One tab of all that have a device open syncs: it holds a Web Lock. When it is closed or killed, the browser gives the
// lock to another one; when it is frozen, it stops telling that it lives, and another one takes the lock away.
import type { Device } from "./device";

const TELL_MS = 2000;
const LOOK_MS = 3000;
/** A leader that says nothing for so long, while this tab runs, is frozen. */
const FROZEN_MS = 12_000;

/** Holds or waits for the leadership of one device, until `stop`. */
export class Leadership {
  private stopped = false;
  private isLeader = false;
  private steals = false;
  private waiting = new AbortController();
  private leading = new AbortController();
  private heard = performance.now();
  private looked = performance.now();
  private readonly timer: ReturnType<typeof setInterval>;
  private readonly deaf: () => void;

  /** `lead` runs while this tab leads; its signal says that it does no more. `taken`: from a tab that was frozen. */
  constructor(
    private readonly device: Device,
    private readonly lead: (over: AbortSignal, taken: boolean) => Promise<void>,
  ) {
    this.deaf = device.listen(({ type }) => {
      if (type === "leading") this.heard = performance.now();
    });
    this.timer = setInterval(() => {
      this.look();
    }, LOOK_MS);
    void this.run();
  }

  /** Whether this tab is the one that syncs. */
  get leads(): boolean {
    return this.isLeader;
  }

  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    this.deaf();
    this.waiting.abort();
    this.leading.abort();
  }

  private async run(): Promise<void> {
    while (!this.isOver()) {
      this.waiting = new AbortController();
      this.leading = new AbortController();
      const taken = this.steals;
      const options = taken ? { steal: true } : { signal: this.waiting.signal };
      this.steals = false;
      const { signal } = this.leading;
      try {
        await navigator.locks.request(`${this.device.scope}:leader`, options, () => this.held(signal, taken));
      } catch (error) {
        // Told to take the lock, ended, or another tab has taken it away because this one was frozen.
        if (!(error instanceof DOMException)) reportError(error);
      }
      this.leading.abort();
      this.isLeader = false;
    }
  }

  private isOver(): boolean {
    return this.stopped;
  }

  private async held(over: AbortSignal, taken: boolean): Promise<void> {
    if (over.aborted) return;
    this.isLeader = true;
    const tell = (): void => {
      this.device.say({ type: "leading" });
    };
    const timer = setInterval(tell, TELL_MS);
    tell();
    try {
      await this.lead(over, taken);
    } finally {
      clearInterval(timer);
    }
  }

  /** Take the lock from a frozen tab. A tab that was frozen itself has heard nothing: it listens first. */
  private look(): void {
    const now = performance.now();
    if (now - this.looked > 2 * LOOK_MS) this.heard = now;
    this.looked = now;
    if (this.isLeader || now - this.heard < FROZEN_MS) return;
    this.heard = now;
    this.steals = true;
    this.waiting.abort();
  }
}
