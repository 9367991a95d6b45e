// OR-Set (observed-remove set): a removal removes what its writer had seen, so an unseen add wins.
//
// Source: Shapiro et al., 2011, section 3.3.5. A dot names one add of one element: it is the stamp of the operation as
// its writer named it. One operation gives all its elements the same dot, so a dot counts only together with its element.
// State: `[epoch, [[element, [dot...]]...], [[element, [removed dot...]]...]]`, elements in their order, dots as text;
// the initial one is kept as null. The value is the array of the elements that have a dot.
import { isStamp } from "../clock";
import type { Cell, Column, Wire } from "../column";
import { check, InvalidValue, membersOf, sortElements } from "../values";
import { epochOf, laterStamp, newerOf } from "./epoch";
import type { Merge } from "./index";

/** The dot of the column's default elements in a cell that was not written when its row was made. */
const DEFAULT = "=";

type Dots = Map<Wire, Set<string>>;
type Written = [Wire, string[]][];
interface Change {
  readonly add?: readonly Wire[];
  readonly remove?: Written;
}

export const orSet: Merge = {
  lossless: true,
  decided: false,
  empty: [],

  initial(epoch) {
    return [epoch, [], []];
  },

  check(column, change) {
    const members = membersOf(change);
    if (members === undefined || Object.keys(members).some((name) => name !== "add" && name !== "remove")) {
      throw new InvalidValue("value_type", 'the change of a set is an object with "add" and "remove"');
    }
    const added = check("set", "add" in members ? members["add"] : [], column.element) as Wire[];
    const removed = "remove" in members ? checkRemoved(column, members["remove"] ?? null) : [];
    return changeOf(added, removed);
  },

  difference(column, oldValue, oldState, newValue) {
    const old = new Set(oldValue as Wire[]);
    const kept = new Set(newValue as Wire[]);
    const known = oldState === null ? defaults(old) : dotsOf((oldState as Wire[])[1] ?? []);
    const gone = [...known].filter(([element]) => old.has(element) && !kept.has(element));
    const added = [...kept].filter((element) => !old.has(element));
    return changeOf(sortElements(column.element, added), written(column, new Map(gone)));
  },

  apply(column, cell, change, stamp, dot) {
    const { add = [], remove = [] } = change as Change;
    const [present, removed] = stateOf(cell);
    addDots(removed, remove);
    for (const element of add) addDots(present, [[element, [dot]]]);
    return cellOf(column, epochOf(cell.state), present, removed, laterStamp(cell, stamp));
  },

  join(column, a, b) {
    const newer = newerOf(a, b);
    if (newer !== undefined) return newer;
    const [present, removed] = stateOf(a);
    const [otherPresent, otherRemoved] = stateOf(b);
    addDots(present, otherPresent);
    addDots(removed, otherRemoved);
    return cellOf(column, epochOf(a.state), present, removed, laterStamp(a, b.stamp ?? ""));
  },
};

function checkRemoved(column: Column, removed: Wire): Written {
  const malformed = new InvalidValue("value_type", '"remove" is an array of [element, [dot...]]');
  if (!Array.isArray(removed)) throw malformed;
  const dots: Dots = new Map();
  for (const entry of removed as Wire[]) {
    if (!Array.isArray(entry) || entry.length !== 2 || !Array.isArray(entry[1])) throw malformed;
    const [element, named] = entry as [Wire, Wire[]];
    for (const dot of named) {
      if (typeof dot !== "string" || !(isStamp(dot) || dot === DEFAULT)) {
        throw new InvalidValue("value_format", "a dot is the stamp of the operation that added the element");
      }
    }
    addDots(dots, [[check(column.element, element), named as string[]]]);
  }
  return written(column, dots);
}

/** A change in canonical form: an empty member is left out. */
function changeOf(add: Wire[], remove: Written): Wire {
  return { ...(add.length > 0 && { add }), ...(remove.length > 0 && { remove }) };
}

/** [present, removed] as fresh sets, free to change. */
function stateOf(cell: Cell): [Dots, Dots] {
  if (cell.state !== null) {
    const [, present = [], removed = []] = cell.state as Wire[];
    return [dotsOf(present), dotsOf(removed)];
  }
  return [defaults(cell.stamp === null ? (cell.value as Wire[]) : []), defaults([])];
}

function defaults(elements: Iterable<Wire>): Dots {
  return new Map([...elements].map((element) => [element, new Set([DEFAULT])]));
}

function dotsOf(form: Wire): Dots {
  return new Map((form as Written).map(([element, dots]) => [element, new Set(dots)]));
}

function addDots(dots: Dots, more: Iterable<[Wire, Iterable<string>]>): void {
  for (const [element, named] of more) dots.set(element, new Set([...(dots.get(element) ?? []), ...named]));
}

function written(column: Column, dots: Dots): Written {
  // Dots are ASCII, so that the order of UTF-16 units is that of code points.
  return sortElements(column.element, dots.keys()).map((element) => [element, [...(dots.get(element) ?? [])].sort()]);
}

function cellOf(column: Column, epoch: number, present: Dots, removed: Dots, stamp: string): Cell {
  const left: Dots = new Map();
  for (const [element, dots] of present) {
    const gone = removed.get(element);
    const kept = [...dots].filter((dot) => gone?.has(dot) !== true);
    if (kept.length > 0) left.set(element, new Set(kept));
  }
  const entries = written(column, left);
  const isInitial = epoch === 1 && left.size + removed.size === 0;
  const state = isInitial ? null : [epoch, entries, written(column, removed)];
  return { value: entries.map(([element]) => element), stamp, state };
}
