// The sync of one tab: rounds when somebody asks for them, and the loop as long as this tab leads.
import { HoldfastError } from "../errors";
import type { Token } from "./http";
import type { Device } from "./device";
import { Exchanges, type SyncReport } from "./exchange";
import { Http } from "./http";
import { Leadership } from "./leader";
import { Loop, type LoopStatus } from "./loop";
import { Presence } from "./presence";
import { AT_REST, type Moving, Transfer } from "./progress";
import type { Taken } from "./round";
import { SyncLog } from "./sync_log";

/** Tabs are told of progress so often at most. */
const TELL_MS = 100;
const NOT_CONNECTED: LoopStatus = { state: "stopped", channel: "none", error: null, retryIn: null };

export class Syncing {
  readonly presence: Presence;
  readonly log: SyncLog;
  /** That of the tab that syncs, as this one heard it last. */
  status: LoopStatus = NOT_CONNECTED;
  moving: Moving = AT_REST;
  private readonly transfer = new Transfer(() => performance.now() / 1000);
  private exchanges: Exchanges;
  private leadership: Leadership | null = null;
  private loop: Loop | null = null;
  private telling: ReturnType<typeof setTimeout> | null = null;

  constructor(
    private readonly device: Device,
    private readonly url: string,
    private readonly token: Token,
  ) {
    this.log = new SyncLog(`${device.scope}:log`);
    this.presence = new Presence(device);
    this.presence.changed = () => {
      this.loop?.announce();
    };
    this.transfer.changed = () => {
      this.tellSoon();
    };
    this.exchanges = this.newExchanges(new Http(url, token));
    device.listen((message) => {
      if (message.type === "outbox") this.loop?.commit();
      else if (message.type === "wish") this.loop?.wish(true);
      else if (message.type === "status") this.status = message.status;
      else if (message.type === "moving") this.moving = message.moving;
      else if (message.type === "asks") this.tellAgain();
    });
    device.say({ type: "asks" });
  }

  /** Whether this tab is the one that syncs. */
  get leads(): boolean {
    return this.leadership?.leads ?? false;
  }

  /** Rounds until nothing is left. */
  async sync(wishes: { readonly digests?: boolean } = {}): Promise<[SyncReport, Taken]> {
    return this.exchanges.sync(wishes);
  }

  /**
   * Send what waits and fetch what is new once, in the place of the tab that syncs. Where a tab does that already, it is
   * asked to, and this waits until `nothingWaits`; if it says nothing because it is frozen, its place is taken.
   */
  async flush(nothingWaits: () => Promise<boolean>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let heard = 0;
      const over = (tell: () => void): void => {
        deaf();
        leadership.stop();
        tell();
      };
      const failed = (error: unknown): void => {
        over(() => {
          reject(error instanceof Error ? error : new Error(String(error)));
        });
      };
      const look = async (): Promise<void> => {
        if (await nothingWaits()) over(resolve);
      };
      const leadership = new Leadership(this.device, async (_, taken) => {
        deaf();
        if (taken) this.exchanges.takeOver();
        await this.sync().then(() => {
          over(resolve);
        }, failed);
      });
      const deaf = this.device.listen((message) => {
        if (leadership.leads) return; // what is heard is what this one says
        if (message.type === "status") {
          // The first one is how it stood before; a later one says what came of the attempt.
          const { error } = message.status;
          if (++heard > 1 && error !== null) failed(new HoldfastError("network", error));
        }
        if (heard > 0) void look().catch(failed);
      });
      this.device.say({ type: "asks" });
      this.device.say({ type: "wish" });
    });
  }

  /** Sync from now on, as long as this tab or another one is open. */
  connect(): void {
    this.leadership ??= new Leadership(this.device, async (over, taken) => {
      // The loop has rounds of its own: an answer that comes late on its channel is never taken for another's.
      const http = new Http(this.url, this.token);
      const exchanges = this.newExchanges(http);
      if (taken) exchanges.takeOver();
      const loop = new Loop(this.device, exchanges, http, this.presence, (status) => {
        this.status = status;
      });
      this.loop = loop;
      const hint = (): void => {
        loop.wish(false);
      };
      over.addEventListener("abort", () => {
        loop.stop();
      });
      addEventListener("online", hint);
      await loop.run();
      removeEventListener("online", hint);
      this.loop = null;
    });
  }

  /** Sync no more in this tab. */
  disconnect(): void {
    this.leadership?.stop();
    this.leadership = null;
    this.status = NOT_CONNECTED;
    this.device.changedHere({ type: "status", status: NOT_CONNECTED });
  }

  /** The database is another device now: nothing of the one before may go on under its names. */
  begin(): void {
    this.exchanges = this.newExchanges(new Http(this.url, this.token));
    if (this.leadership === null) return;
    this.disconnect();
    this.connect();
  }

  close(): void {
    this.presence.close();
    this.disconnect();
    this.log.close();
    if (this.telling !== null) clearTimeout(this.telling);
  }

  private newExchanges(http: Http): Exchanges {
    return new Exchanges(this.device, http, { transfer: this.transfer, log: this.log });
  }

  private tellSoon(): void {
    this.telling ??= setTimeout(() => {
      this.telling = null;
      this.device.say({ type: "moving", moving: this.transfer.moving });
    }, TELL_MS);
  }

  private tellAgain(): void {
    if (this.loop === null) return;
    this.loop.tellAgain();
    this.presence.tellHere();
    this.device.say({ type: "moving", moving: this.transfer.moving });
  }
}
