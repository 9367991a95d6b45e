// Who is here: what the hub says of the other devices in a space, and what the tabs of this device say of themselves.
// The tab that syncs speaks for all; a tab that goes takes what it said with it, which the others see by its lock.
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import { canonicalJson } from "../kernel/values";
import { parse } from "../protocol/json";
import { anything, list, map, type Shape, struct, text, wrong } from "../protocol/shapes";
import type { Device } from "./device";

const MAX_ANNOUNCED = 1024;

/** A device that is connected now. `data` is what its application announced (null: nothing). */
export interface Present {
  readonly device: string;
  readonly user: string;
  readonly data: Wire;
}

export type Here = Readonly<Record<string, readonly Present[]>>;
export type Announced = Readonly<Record<string, Wire>>;

const entry: Shape<Present> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length !== 3) throw wrong(path, "[device, user, data]");
  const [device, user, data] = wire as Wire[];
  return { device: text()(device, path), user: text()(user, path), data: data ?? null };
};
const told = struct({ presence: map(list(entry)) });

/** What the hub tells of presence in a text message; null: it is something else. */
export function presenceIn(message: string): Here | null {
  const wire = parse(message);
  if (typeof wire !== "object" || wire === null || !Object.hasOwn(wire, "presence")) return null;
  return told(anything(wire, "$"), "$").presence;
}

export class Presence {
  /** What this tab has announced. */
  private mine: Announced = {};
  private readonly tab: string = crypto.randomUUID();
  private letGo: (() => void) | null = null;
  private readonly ofTabs = new Map<string, Announced>();
  private here: Here = {};
  /** Called where this tab syncs: what is announced has changed. */
  changed: () => void = () => undefined;

  constructor(private readonly device: Device) {
    device.listen((message) => {
      if (message.type === "announced") this.heardOf(message.tab, message.announced);
      else if (message.type === "asks") this.tell();
      else if (message.type === "presence") this.here = message.here;
    });
  }

  /** This device is in the space, with small data of the application (JSON). Throws `announcement_invalid`. */
  announce(space: string, data: Wire): void {
    let size: number;
    try {
      size = new TextEncoder().encode(canonicalJson(data)).length;
    } catch (error) {
      throw new HoldfastError("announcement_invalid", `what is announced must be JSON: ${String(error)}`);
    }
    if (size > MAX_ANNOUNCED) {
      const says = `what is announced has ${size} bytes of JSON; at most ${MAX_ANNOUNCED} are sent`;
      throw new HoldfastError("announcement_invalid", says);
    }
    this.mine = { ...this.mine, [space]: data };
    this.hold();
    this.tell();
  }

  /** This tab is not in the space any more. */
  leave(space: string): void {
    this.mine = Object.fromEntries(Object.entries(this.mine).filter(([name]) => name !== space));
    this.tell();
  }

  /** Everything that the tabs of this device announce: the message for the hub. */
  message(): string {
    return `{"announce":${canonicalJson(this.all)}}`;
  }

  get announcesAny(): boolean {
    return Object.keys(this.all).length > 0;
  }

  /** Who is in a space where this device has announced itself, this device included. */
  present(space: string): readonly Present[] {
    return Object.hasOwn(this.all, space) ? (this.here[space] ?? []) : [];
  }

  /** The hub tells who is in some spaces. */
  heard(here: Here): void {
    this.device.say({ type: "presence", here: { ...this.here, ...here } });
  }

  /** The channel is gone: nobody is known to be here. */
  clear(): void {
    if (Object.keys(this.here).length > 0) this.device.say({ type: "presence", here: {} });
  }

  /** Tell the tabs again what is known: one asks. */
  tellHere(): void {
    this.device.say({ type: "presence", here: this.here });
  }

  close(): void {
    this.mine = {};
    this.tell();
    this.letGo?.();
  }

  private get all(): Announced {
    return Object.fromEntries([...this.ofTabs.values(), this.mine].flatMap((one) => Object.entries(one)));
  }

  private tell(): void {
    this.device.say({ type: "announced", tab: this.tab, announced: this.mine });
  }

  private heardOf(tab: string, announced: Announced): void {
    if (tab !== this.tab) {
      const isNew = !this.ofTabs.has(tab) && Object.keys(announced).length > 0;
      if (Object.keys(announced).length > 0) this.ofTabs.set(tab, announced);
      else this.ofTabs.delete(tab);
      if (isNew) void this.whenGone(tab);
    }
    this.changed();
  }

  /** A tab holds a lock as long as it lives: whoever gets it next knows that it is gone. */
  private async whenGone(tab: string): Promise<void> {
    await navigator.locks.request(this.lockOf(tab), { mode: "shared" }, () => {
      this.heardOf(tab, {});
    });
  }

  private hold(): void {
    if (this.letGo !== null) return;
    const held = new Promise<void>((resolve) => {
      this.letGo = resolve;
    });
    void navigator.locks.request(this.lockOf(this.tab), () => held);
  }

  private lockOf(tab: string): string {
    return `${this.device.scope}:present:${tab}`;
  }
}
