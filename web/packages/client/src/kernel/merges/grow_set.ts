// Grow-only set: union.
//
// Source: Shapiro et al., 2011, section 3.3.1. State: `[epoch]`; null when 1. An element that a writer leaves out comes
// back: nothing can be removed.
import type { Wire } from "../column";
import { check, InvalidValue, membersOf, sortElements } from "../values";
import { keptEpoch, laterStamp, newerOf } from "./epoch";
import type { Merge } from "./index";

export const growSet: Merge = {
  lossless: true,
  decided: false,
  empty: [],

  initial(epoch) {
    return [epoch];
  },

  check(column, change) {
    const members = membersOf(change);
    if (members === undefined || Object.keys(members).some((name) => name !== "add")) {
      throw new InvalidValue("value_type", 'the change of a grow-only set is an object with "add"');
    }
    return addition(check("set", "add" in members ? members["add"] : [], column.element) as Wire[]);
  },

  difference(column, oldValue, _oldState, newValue) {
    const old = new Set(oldValue as Wire[]);
    const added = (newValue as Wire[]).filter((element) => !old.has(element));
    return addition(sortElements(column.element, added));
  },

  apply(column, cell, change, stamp) {
    const { add = [] } = change as { add?: Wire[] };
    const value = sortElements(column.element, [...(cell.value as Wire[]), ...add]);
    return { value, stamp: laterStamp(cell, stamp), state: keptEpoch(cell.state) };
  },

  join(column, a, b) {
    const newer = newerOf(a, b);
    if (newer !== undefined) return newer;
    const value = sortElements(column.element, [...(a.value as Wire[]), ...(b.value as Wire[])]);
    return { value, stamp: laterStamp(a, b.stamp ?? ""), state: a.state };
  },
};

function addition(added: Wire[]): Wire {
  return added.length > 0 ? { add: added } : {};
}
