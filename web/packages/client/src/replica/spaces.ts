// The spaces that a device holds: access, cursor, readiness. Changes are collected and written with the rest.
import type { SpaceRecord } from "./file";
import type { Work } from "./work";

export class Spaces {
  private readonly changed = new Set<string>();

  private constructor(
    private readonly work: Work,
    readonly all: Map<string, SpaceRecord>,
  ) {}

  static async read(work: Work): Promise<Spaces> {
    return new Spaces(work, await work.spaces());
  }

  /** The hub says that these are what the device may read. */
  grant(access: Readonly<Record<string, string>>): void {
    for (const [name, mode] of Object.entries(access)) {
      if (this.all.get(name)?.access !== mode) this.set(name, { access: mode });
    }
  }

  /** The device has read so far. */
  move(cursors: Readonly<Record<string, string>>): void {
    for (const [name, cursor] of Object.entries(cursors)) {
      if (this.all.has(name)) this.set(name, { cursor });
    }
  }

  /**
   * These spaces are read from the start: the hub has lost their history, or rows of them may be gone without a trace.
   * What is here stays readable until they have arrived.
   */
  lose(names: Iterable<string>): void {
    for (const name of names) if (this.all.has(name)) this.set(name, { cursor: null, lost: true });
  }

  /** These spaces have arrived. */
  complete(names: Iterable<string>): void {
    for (const name of names) {
      const known = this.all.get(name);
      if (known !== undefined && (!known.ready || known.lost)) this.set(name, { ready: true, lost: false });
    }
  }

  /** Everything up to this priority is here of the spaces that are not ready. */
  load(priority: number): void {
    for (const [name, { ready }] of this.all) if (!ready) this.set(name, { loaded: priority });
  }

  forget(name: string): void {
    this.all.delete(name);
    this.changed.add(name);
  }

  flush(): void {
    const store = this.work.tx.objectStore("space");
    for (const name of this.changed) {
      const record = this.all.get(name);
      if (record === undefined) store.delete(name);
      else store.put(record, name);
    }
  }

  private set(name: string, changes: Partial<SpaceRecord>): void {
    const known = this.all.get(name) ?? { access: "", cursor: null, ready: false, loaded: null, lost: false };
    this.all.set(name, { ...known, ...changes });
    this.changed.add(name);
  }
}
