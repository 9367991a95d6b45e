// A device: its database, its tables, the origin under which this tab writes, and who is told when something changes.
import { HoldfastError } from "../errors";
import { randomBits } from "../ids";
import { newOrigin } from "../kernel/clock";
import { compile } from "../schema/compile";
import type { SchemaForm } from "../schema/form";
import { Directory } from "./directory";
import { type DeviceState, File, type FileEvent } from "./file";
import type { LoopStatus } from "./loop";
import type { Announced, Here } from "./presence";
import type { Moving } from "./progress";
import { UserTables } from "./tables";
import { Work } from "./work";

/** What a tab tells the others. */
export type Message =
  | { readonly type: "changed"; readonly tables: readonly string[] }
  | { readonly type: "outbox" }
  /** Something in the outbox has another state; `failed`: something is held back, or is so no more. */
  | { readonly type: "queue"; readonly failed: boolean }
  /** A person asks for a sync. */
  | { readonly type: "wish" }
  /** The tab that syncs lives. */
  | { readonly type: "leading" }
  /** A tab has just come: it asks what is known. */
  | { readonly type: "asks" }
  | { readonly type: "status"; readonly status: LoopStatus }
  | { readonly type: "moving"; readonly moving: Moving }
  | { readonly type: "announced"; readonly tab: string; readonly announced: Announced }
  | { readonly type: "presence"; readonly here: Here };

const SCOPE = "holdfast:";

export class Device {
  readonly tables: UserTables;
  readonly origin: string;
  private readonly file: File;
  private readonly directory = new Directory();
  private readonly channel: BroadcastChannel;
  private closed = false;
  private readonly listeners = new Set<(message: Message) => void>();

  /** What the browser calls everything that belongs to this device: database, channel, locks. */
  readonly scope: string;

  constructor(
    readonly name: string,
    form: SchemaForm,
    private readonly tell: (event: FileEvent) => void,
  ) {
    this.scope = SCOPE + name;
    this.tables = new UserTables(compile(form));
    this.origin = newOrigin(randomBits(48));
    this.file = new File(
      this.scope,
      () => this.fresh(),
      (event) => {
        if (event.type !== "blocked") this.directory.clear();
        this.tell(event);
      },
    );
    this.channel = new BroadcastChannel(this.scope);
    this.channel.onmessage = ({ data }: MessageEvent<Message>) => {
      for (const listener of this.listeners) listener(data);
    };
  }

  /** Read in one transaction. */
  async read<T>(body: (work: Work) => Promise<T>): Promise<T> {
    return this.file.read(async (tx) => body(await this.begin(tx)));
  }

  /** Write in one transaction: what `body` has changed is asked for at its end. Tells of the tables that changed. */
  async write<T>(body: (work: Work) => Promise<T>, durability: IDBTransactionDurability = "strict"): Promise<T> {
    let touched = new Set<string>();
    const value = await this.file.write(async (tx) => {
      const work = await this.begin(tx);
      const result = await body(work);
      touched = work.flush();
      return result;
    }, durability);
    if (touched.size > 0) this.changed([...touched]);
    return value;
  }

  /** Tell every tab, this one included, that rows of these tables have changed. */
  changed(tables: readonly string[]): void {
    this.say({ type: "changed", tables });
  }

  /** Tell every tab, this one included. */
  say(message: Message): void {
    if (this.closed) return; // what was under way when the device was closed has nobody to tell
    this.channel.postMessage(message);
    for (const listener of this.listeners) listener(message);
  }

  /** Tell this tab alone. */
  changedHere(message: Message): void {
    for (const listener of this.listeners) listener(message);
  }

  /** Be told; gives what ends it. */
  listen(listener: (message: Message) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): void {
    this.closed = true;
    this.file.close();
    this.channel.close();
    this.listeners.clear();
  }

  private async begin(tx: IDBTransaction): Promise<Work> {
    const work = await Work.begin(tx, this.tables, this.directory);
    const { version, hash } = this.tables.schema;
    if (work.state.schema.hash === hash) return work;
    const details = { device: work.state.schema.version, schema: version };
    const says = `the database ${this.name} holds version ${work.state.schema.version} of the schema, this is ${version}`;
    throw new HoldfastError("schema_changed", says, details);
  }

  private fresh(): DeviceState {
    const { version, hash } = this.tables.schema;
    return {
      format: 1,
      device: crypto.randomUUID(),
      schema: { version, hash },
      hlc: 0,
      clockOffset: 0,
      hub: "",
      user: "",
      layout: null,
      lastSynced: null,
      round: "",
      chunks: 0,
      places: 0,
    };
  }
}
