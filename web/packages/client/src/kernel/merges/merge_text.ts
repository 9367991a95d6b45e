// A plain text that the hub merges: each edit is transformed over those that its writer had not seen, one by one.
//
// State: [epoch, version before the first kept edit, [edit...]]; the initial one, [1, "", []], is kept as null. An edit:
// [version, sent, done, name, base]. Specification: spec/merge.md, section 12. Python: merges/merge_text.py.
import { after, isStamp, originOf } from "../clock";
import type { Cell, Wire } from "../column";
import { fingerprint } from "../fingerprint";
import * as operational from "../operational";
import type { Operation } from "../operational";
import { compareText, lengthOf } from "../text";
import { check, InvalidValue, type Members, membersOf } from "../values";
import { PENDING } from "./counter";
import { epochOf } from "./epoch";
import type { Merge } from "./index";

const KEPT_EDITS = 32;
const KEPT_LENGTH = 4096;
const BASE_LENGTH = 4096;

interface Entry {
  readonly version: string;
  readonly sent: Operation;
  readonly done: Operation;
  readonly name: string;
  readonly base: string;
}

/** The cell after an edit, and whether it met edits that its writer had not seen. */
export interface Merged {
  readonly cell: Cell;
  readonly conflict: { readonly mine: Wire; readonly theirs: Wire; readonly winner: "mine" | "theirs" } | null;
}

type Written = readonly [string, Operation, Operation | null, string | null, string | null];
type State = readonly [epoch: number, start: string, past: readonly Written[]];

export const mergeText = {
  lossless: true,
  decided: false,
  empty: "",

  initial(epoch) {
    return [epoch, "", []];
  },

  check(_column, change) {
    const members = membersOf(change);
    const known = members !== undefined && Object.keys(members).every((name) => ["op", "after", "text"].includes(name));
    if (!known || !("op" in members)) {
      throw new InvalidValue("value_type", 'the change of a merged text is an object with "op"');
    }
    const { op = null, after: seen, text } = members;
    if (seen !== undefined && (typeof seen !== "string" || !isStamp(seen))) {
      throw new InvalidValue("value_format", '"after" is the stamp of the text that the writer saw');
    }
    return {
      op: operational.checked(op) as Wire,
      ...(seen !== undefined && { after: seen }),
      ...(text !== undefined && { text: check("text", text) }),
    };
  },

  difference(_column, oldValue, oldState, newValue) {
    const old = oldValue as string;
    const version = entriesOf(oldState).at(-1)?.version ?? (oldState as State | null)?.[1] ?? "";
    return {
      op: operational.between(old, newValue as string) as Wire,
      ...(version !== "" && { after: version }),
      ...(old !== "" && lengthOf(old) <= BASE_LENGTH && { text: old }),
    };
  },

  apply(_column, cell, change, stamp, dot, hub) {
    return mergedText(cell, change, stamp, dot, hub).cell;
  },

  join(_column, a, b) {
    const [epochA, epochB] = [epochOf(a.state), epochOf(b.state)];
    if (epochA !== epochB) return epochA > epochB ? a : b;
    const order = compareText(a.stamp ?? "", b.stamp ?? "") || compareText(a.value as string, b.value as string);
    return order >= 0 ? a : b;
  },
} satisfies Merge;

/** The cell after the edit, and what it met; throws InvalidValue (`edit_misfit`); on a device such an edit shows nothing. */
export function mergedText(cell: Cell, change: Wire, stamp: string, dot: string, hub: string): Merged {
  try {
    return mergedAtHub(cell, change as Members, stamp, dot);
  } catch (error) {
    if (hub !== PENDING || !(error instanceof InvalidValue)) throw error;
    return { cell: { ...cell, stamp: cell.stamp ?? stamp }, conflict: null };
  }
}

function mergedAtHub(cell: Cell, change: Members, stamp: string, dot: string): Merged {
  const sent = change["op"] as unknown as Operation;
  const [base, current] = [textIn(change, "after") ?? "", cell.stamp ?? ""];
  const value = cell.value as string;
  const name = dot > base ? dot : after(base, originOf(dot));
  if (base === current || cell.stamp === null) {
    const version = stamp > current ? stamp : after(current, originOf(stamp));
    const text = operational.apply(value, sent);
    return { cell: cellWith(cell, text, { version, sent, done: sent, name, base }), conflict: null };
  }
  // Not of the writer's origin: his own clock may give the same stamp to an edit of his that is still on its way.
  const version = after(stamp > current ? stamp : current, fingerprint(current, name));
  const seen = textIn(change, "text") ?? (base === "" ? "" : null);
  const unseen = unseenOrWhole(cell, base, seen, sent);
  if (unseen === null) {
    const kept = cellWith(cell, value, { version, sent, done: [], name, base });
    return { cell: kept, conflict: { mine: change, theirs: value, winner: "theirs" } };
  }
  const mine: Wire = seen === null ? change : operational.apply(seen, sent);
  const { done, meets } = mine === value ? { done: [], meets: false } : moved(sent, unseen);
  const text = operational.apply(value, done);
  const conflict = meets ? ({ mine, theirs: value, winner: "mine" } as const) : null;
  return { cell: cellWith(cell, text, { version, sent, done, name, base }), conflict };
}

function textIn(change: Members, name: string): string | null {
  return (change[name] as string | undefined) ?? null;
}

/** `unseenBy`, or where the past does not tell, one edit from the text that the writer saw; null without that, too. */
function unseenOrWhole(cell: Cell, base: string, seen: string | null, sent: Operation): readonly Operation[] | null {
  const unseen = unseenBy(cell, base);
  if (unseen !== null && (base !== "" || operational.apply("", sent) !== cell.value)) return unseen;
  return seen === null ? null : [operational.between(seen, cell.value as string)];
}

/** The edit after all the others, and whether it met one of them. */
function moved(sent: Operation, others: readonly Operation[]): { done: Operation; meets: boolean } {
  let [done, meets] = [sent, false];
  for (const other of others) {
    meets ||= operational.overlap(done, other);
    done = operational.transform(done, other, false);
  }
  return { done, meets };
}

/**
 * The edits that a writer who wrote on the version `base` had not seen, as they read for him, in order; null when the
 * past that is kept does not tell.
 */
function unseenBy(cell: Cell, base: string): Operation[] | null {
  const entries = entriesOf(cell.state);
  const versions = [(cell.state as State | null)?.[1] ?? "", ...entries.map((entry) => entry.version)];
  const names = new Map(entries.map((entry, index) => [entry.name, index]));
  const own = new Set<number>();
  let seen = base;
  while (!versions.includes(seen)) {
    const index = names.get(seen);
    const entry = index === undefined || own.has(index) ? undefined : entries[index];
    if (entry === undefined) return null;
    own.add(index as number);
    seen = entry.base;
  }
  let unseen: Operation[] = [];
  for (let index = versions.indexOf(seen); index < entries.length; index++) {
    const entry = entries[index] as Entry;
    if (!own.has(index)) {
      unseen.push(entry.done);
      continue;
    }
    let mine = entry.sent;
    const later: Operation[] = [];
    for (const other of unseen) {
      later.push(operational.transform(other, mine, true));
      mine = operational.transform(mine, other, false);
    }
    // It was merged as a whole text, with nothing between that could be followed.
    if (JSON.stringify(mine) !== JSON.stringify(entry.done)) return null;
    unseen = later;
  }
  return unseen;
}

function entriesOf(state: Wire): Entry[] {
  if (state === null) return [];
  const [, start, past] = state as unknown as State;
  let before = start;
  return past.map(([version, sent, done, name, base]) => {
    const entry = { version, sent, done: done ?? sent, name: name ?? version, base: base ?? before };
    before = version;
    return entry;
  });
}

/** The cell with one edit more in its past, and of the past as much as is kept. */
function cellWith(cell: Cell, text: string, { version, sent, done, name, base }: Entry): Cell {
  const before = cell.stamp ?? "";
  const isAsSent = JSON.stringify(done) === JSON.stringify(sent);
  const written: Written = [
    version,
    sent,
    isAsSent ? null : done,
    name === version ? null : name,
    base === before ? null : base,
  ];
  const [epoch, start, past] = (cell.state as unknown as State | null) ?? [1, before, []];
  const whole = [...past, written];
  let room = KEPT_LENGTH;
  for (let index = whole.length - 1; index >= 0; index--) {
    const [dropped, one, two] = whole[index] as Written;
    room -= sizeOf(one) + sizeOf(two ?? []);
    if (room < 0 || whole.length - index > KEPT_EDITS) {
      return { value: text, stamp: version, state: [epoch, dropped, whole.slice(index + 1)] as Wire };
    }
  }
  return { value: text, stamp: version, state: [epoch, start, whole] as Wire };
}

function sizeOf(operation: Operation): number {
  let size = 0;
  for (const part of operation)
    size += typeof part === "number" ? 0 : lengthOf(typeof part === "string" ? part : part.d);
  return size;
}
