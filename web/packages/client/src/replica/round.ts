// Rounds: what a device says to the hub, and what it does with the answer. One at a time, in one tab.
import { HoldfastError } from "../errors";
import { held } from "../kernel/digest";
import { decodeShortAnswer, encodeRequest, encodeShortRequest } from "../protocol/codec";
import type { Footer, Header, Request } from "../protocol/messages";
import { MOST_BATCH } from "../protocol/meter";
import { type Applied, apply, joined, MissingRow } from "./apply";
import type { Device } from "./device";
import { Downloads } from "./downloads";
import type { DeviceState, SpaceRecord, StagedPage } from "./file";
import { answer } from "./idb";
import type { Transfer } from "./progress";
import { Spaces } from "./spaces";
import type { Layout } from "./tables";
import { Uploads } from "./uploads";
import type { Work } from "./work";
import { deviceClock } from "./writing";

/** Errors of the database, not of the answer: what arrived is kept, and applied by the next round. */
const TEMPORARY = new Set(["disk_full", "file_unusable", "closed", "busy"]);
const ACKNOWLEDGED_AT_ONCE = 10_000;
const NOTHING: Applied = { accepted: 0, results: [], rows: 0, conflicts: [] };

/** How a request is to be: see spec/protocol.md, section 1. */
export interface Wishes {
  readonly page?: number;
  readonly batch?: number;
  readonly uploads?: boolean;
  readonly digests?: boolean;
}

/** What an answer did. `live`: the hub sent it unasked; `again`: another request is needed at once. */
export interface Taken extends Applied {
  readonly live: boolean;
  readonly again: boolean;
  readonly digests: Readonly<Record<string, string>> | null;
}

export class Rounds {
  /** Whether the last answer was whole and brought nothing. */
  quiet = false;
  private readonly uploads: Uploads;
  private readonly downloads: Downloads;
  private header: Header | null = null;
  private sentAt = 0;
  private offset = 0;
  private acknowledged: readonly [string, number][] = [];
  private request: Request | null = null;
  private token = "";

  constructor(
    private readonly device: Device,
    private readonly transfer: Transfer,
  ) {
    this.uploads = new Uploads(device, transfer);
    this.downloads = new Downloads(device, transfer);
  }

  /** How many pages have come since the last request. */
  get kept(): number {
    return this.downloads.kept;
  }

  /** How many transactions the last request holds. */
  get sending(): number {
    return this.uploads.sent.length;
  }

  anythingWaits(): Promise<boolean> {
    return this.uploads.anythingWaits();
  }

  narrow(error: HoldfastError): boolean {
    return this.uploads.narrow(error);
  }

  /** The next request. Names are on the disk before it returns. */
  async build(wishes: Wishes = {}): Promise<Uint8Array> {
    const answered = new Map(Object.entries(this.header?.through ?? {}));
    const urgent = await this.uploads.begin(wishes.batch ?? MOST_BATCH, answered, wishes.uploads ?? true);
    const transactions = this.uploads.sent.map(({ message }) => message);
    const { cursors, state, acknowledged, waits } = await this.device.read((work) => this.known(work));
    this.acknowledged = acknowledged;
    this.downloads.asked = cursors;
    this.downloads.kept = 0;
    this.sentAt = deviceClock();
    const { version, hash } = this.device.tables.schema;
    const upload = this.device.tables.uploadTemplates;
    const request: Request = {
      protocol: 1,
      device: state.device,
      schema: { version, hash },
      clock: this.sentAt,
      layout: state.layout?.hash ?? "",
      cursors: Object.fromEntries(cursors),
      acknowledged: [...acknowledged],
      transactions,
      limit: urgent ? 1 : null,
      page: urgent ? 1 : (wishes.page ?? null),
      want: upload.length > 0 ? { spaces: {}, without: [], only: false, upload } : null,
      digests: wishes.digests ?? false,
      // The hub sends the rows of these transactions back: from it comes in which space they live.
      echo: transactions.length > 0 || waits,
      user: state.user,
      compare: {},
      blocks: {},
      history: [],
      restore: [],
      sent: {},
      // No row of this device is missing in what it has staged: its own come with the others.
      whole: false,
      // A browser keeps no SQLite file.
      image: "",
    };
    this.request = transactions.length > 0 ? null : request;
    return encodeRequest(request);
  }

  /** The request that was built last, in short form; null when it asks for more than whether anything is new. */
  async short(): Promise<Uint8Array | null> {
    const whole = this.request;
    this.request = null;
    if (whole === null || !this.quiet || whole.acknowledged.length > 0 || whole.digests || whole.echo) return null;
    const { spaces, state } = await this.device.read(async (work) => ({
      spaces: await work.spaces(),
      state: work.state,
    }));
    if (![...spaces.values()].every(({ ready, access }) => ready && access !== "")) return null;
    const holds = new Map(
      [...spaces].map(([name, { access }]) => [name, [access, whole.cursors[name] ?? ""] as const]),
    );
    const { version, hash } = whole.schema;
    const same = held(state.hub, whole.user, version, hash, whole.layout, holds);
    return encodeShortRequest({ same, want: whole.want });
  }

  /** The answer to a short request: nothing is new. */
  async unchanged(body: Uint8Array): Promise<Taken> {
    const { same } = decodeShortAnswer(body);
    const offset = same.time - Math.floor((this.sentAt + deviceClock()) / 2);
    await this.device.write((work) => {
      work.set({ clockOffset: offset, lastSynced: this.sentAt + offset });
      return Promise.resolve();
    });
    this.quiet = true;
    this.transfer.rests();
    return { ...NOTHING, live: false, again: this.uploads.more, digests: null };
  }

  /**
   * Take an answer. Whole: it is applied. Cut off: what arrived is kept, and what broke the stream is thrown. With
   * `more`: it is kept, and the next answer will complete it.
   */
  async receive(chunks: AsyncIterable<Uint8Array>): Promise<Taken> {
    this.quiet = false;
    try {
      const taken = await this.take(chunks);
      if (!taken.again) this.transfer.rests();
      return taken;
    } catch (error) {
      this.transfer.rests();
      this.header = null; // the hub repeats the results
      if (!(error instanceof MissingRow)) throw error;
      await this.readAnew(error);
      return { ...NOTHING, live: false, again: true, digests: null };
    }
  }

  private async take(chunks: AsyncIterable<Uint8Array>): Promise<Taken> {
    const [header, footer] = await this.downloads.read(
      chunks,
      (said) => this.begin(said),
      (work) => {
        stillSpeaking(work, this.token);
      },
    );
    const { live } = header;
    this.header = joined(this.header, header);
    if (!live) await this.uploads.answered(header.through);
    const direct = { ...NOTHING, rows: this.downloads.rows, conflicts: this.downloads.conflicts.splice(0) };
    if (footer.more || (await this.uploads.missesAnswers(header.through, live))) {
      await this.downloads.spill();
      return { ...direct, live, again: footer.more || this.uploads.more, digests: null };
    }
    const applied = await this.finish(this.header, footer);
    this.header = null;
    const rows = direct.rows + applied.rows;
    this.quiet = !this.uploads.more && rows === 0 && applied.results.length === 0;
    const conflicts = [...direct.conflicts, ...applied.conflicts];
    // A hub that has lost its history leaves the transactions of the request alone: they go again.
    const again = this.uploads.more || (header.reset.length > 0 && this.uploads.sent.length > 0);
    return { ...applied, rows, conflicts, live, again, digests: footer.digests };
  }

  /** The hub has the request: it knows our acknowledgements; we know its layout and clock. */
  private async begin(header: Header): Promise<ReadonlyMap<string, SpaceRecord>> {
    if (header.live) this.transfer.asks(false);
    this.uploads.begins(header.live ? {} : header.through, header.ahead);
    if (!header.live) this.offset = header.time - Math.floor((this.sentAt + deviceClock()) / 2);
    if (header.layout !== null) this.checkLayout(header.layout);
    const acknowledged = header.live ? [] : this.acknowledged;
    const spaces = await this.device.write(async (work) => {
      const known = await Spaces.read(work);
      known.grant(header.spaces);
      // Where traces of what is gone may be missing, the space is read anew, like one whose history was lost.
      known.lose([...header.reset, ...header.behind]);
      known.flush();
      for (const name of acknowledged) work.tx.objectStore("acknowledge").delete(name);
      const gone = [...header.reset, ...header.revoked];
      if (gone.length > 0) await dropStaged(work, gone);
      this.token = crypto.randomUUID();
      work.set({ ...this.remembered(work.state, header), round: this.token });
      return known.all;
    });
    if (header.layout !== null) this.device.tables.take(header.layout);
    this.downloads.drop([...header.reset, ...header.revoked]);
    return spaces;
  }

  private remembered(state: DeviceState, header: Header): Partial<DeviceState> {
    const { hub, user, hlc, layout } = header;
    return { hub, user, hlc: Math.max(state.hlc, hlc), clockOffset: this.offset, layout: layout ?? state.layout };
  }

  /** Throws `schema_mismatch` unless the hub has each of our columns. */
  private checkLayout(layout: Layout): void {
    for (const { table } of this.device.tables.all()) {
      const names = new Set(layout.tables[table.name] ?? []);
      const missing = table.cells.map(({ name }) => name).filter((name) => !names.has(name));
      if (missing.length === 0) continue;
      const says = `the hub's table ${table.name} has no column ${missing.join(", ")}`;
      throw new HoldfastError("schema_mismatch", says, { table: table.name, columns: missing });
    }
  }

  /** Make a whole answer effective. */
  private async finish(header: Header, footer: Footer): Promise<Applied> {
    try {
      const applied = await this.device.write(async (work) => {
        stillSpeaking(work, this.token);
        const done = await apply(work, header, footer, this.downloads.staged);
        work.set({ ...this.remembered(work.state, header), lastSynced: this.sentAt + this.offset });
        return done;
      });
      this.downloads.clear();
      return applied;
    } catch (error) {
      const isTemporary = error instanceof HoldfastError && TEMPORARY.has(error.code);
      if (!isTemporary && !(error instanceof MissingRow)) await this.giveUp();
      throw error;
    }
  }

  /** Forget all staged pages: they cannot be applied, and the hub will be asked for them again. */
  private async giveUp(): Promise<void> {
    this.downloads.clear();
    await this.device.write(async (work) => {
      const stage = work.tx.objectStore("stage");
      const pages = (await answer(stage.getAll())) as StagedPage[];
      // A page without a cursor is the rest of one whose space has moved on: the space is read from its start.
      const spaces = await Spaces.read(work);
      spaces.lose(pages.filter(({ cursor }) => cursor === "").map(({ space }) => space));
      spaces.flush();
      stage.clear();
    });
  }

  /** A row is missing that should be here: forget how far its space was read, so that it comes again. */
  private async readAnew(missing: MissingRow): Promise<void> {
    const names = [missing.space];
    this.downloads.drop(names);
    await this.device.write(async (work) => {
      const spaces = await Spaces.read(work);
      spaces.lose(names);
      spaces.flush();
      await dropStaged(work, names);
    });
  }

  private async known(work: Work): Promise<{
    state: DeviceState;
    cursors: Map<string, string>;
    acknowledged: readonly [string, number][];
    waits: boolean;
  }> {
    const stage = (await answer(work.tx.objectStore("stage").getAll())) as StagedPage[];
    const found = await answer(work.tx.objectStore("acknowledge").getAll(null, ACKNOWLEDGED_AT_ONCE));
    const spaces = await work.spaces();
    const cursors = new Map<string, string>();
    for (const [name, { cursor }] of spaces) if (cursor !== null) cursors.set(name, cursor);
    const pages = [...stage, ...this.downloads.staged];
    for (const { space, cursor } of pages) if (cursor !== "") cursors.set(space, cursor);
    const waits = pages.length > 0 || [...spaces.values()].some(({ lost }) => lost);
    return { state: work.state, cursors, acknowledged: found as [string, number][], waits };
  }
}

/** Throws `busy` when another tab has begun a round since this one, which was frozen. */
export function stillSpeaking(work: Work, token: string): void {
  if (work.state.round === token) return;
  throw new HoldfastError("busy", "another tab syncs this device now; its round goes on");
}

/** Forget the staged pages of those spaces. */
async function dropStaged(work: Work, spaces: readonly string[]): Promise<void> {
  const stage = work.tx.objectStore("stage");
  const keys = await answer(stage.getAllKeys());
  const pages = (await answer(stage.getAll())) as StagedPage[];
  pages.forEach(({ space }, i) => {
    if (spaces.includes(space)) stage.delete(keys[i] as IDBValidKey);
  });
}
