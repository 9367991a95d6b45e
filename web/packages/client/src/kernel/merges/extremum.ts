// Earliest and latest: the smallest or the largest value that anybody wrote.
//
// A total order with its maximum is a join-semilattice (Shapiro et al., 2011, section 2.3). State: `[epoch]`; null when
// 1. null loses to anything.
import type { Wire } from "../column";
import { compare } from "../values";
import { keptEpoch, newerOf } from "./epoch";
import type { Merge } from "./index";

export const earliest = extremum(-1);
export const latest = extremum(1);

/** `sign` is -1 for the earliest, 1 for the latest. */
function extremum(sign: number): Merge {
  /** Above 0 when `a` beats `b`, below when `b` beats `a`, 0 when they are equal. */
  function rank(type: string, a: Wire, b: Wire): number {
    return a === null || b === null ? Number(b === null) - Number(a === null) : sign * compare(type, a, b);
  }

  return {
    lossless: true,
    decided: false,
    empty: null,

    initial(epoch) {
      return [epoch];
    },

    check(column, change) {
      return column.accept(change);
    },

    difference(_column, _oldValue, _oldState, newValue) {
      return newValue;
    },

    apply(column, cell, change, stamp) {
      const state = keptEpoch(cell.state);
      const better = rank(column.type, change, cell.value);
      // A cell never written takes the stamp even if its default wins.
      if (cell.stamp === null) return { value: better > 0 ? change : cell.value, stamp, state };
      return better > 0 || (better === 0 && stamp > cell.stamp) ? { value: change, stamp, state } : cell;
    },

    join(column, a, b) {
      const newer = newerOf(a, b);
      if (newer !== undefined) return newer;
      const better = rank(column.type, a.value, b.value) || ((a.stamp ?? "") >= (b.stamp ?? "") ? 1 : -1);
      return better > 0 ? a : b;
    },
  };
}
