// Last-writer-wins register: the later stamp wins, never the value.
//
// Source: Shapiro et al., A comprehensive study of Convergent and Commutative Replicated Data Types, 2011, section 3.2.1.
// State: none.
import { compareText } from "../text";
import { canonicalJson, same } from "../values";
import type { Merge } from "./index";

export const register: Merge = {
  lossless: false,
  decided: false,
  empty: null,

  initial() {
    // No state, hence no epoch: the stamps of a register go on through the lives of a row.
    return null;
  },

  check(column, change) {
    return column.accept(change);
  },

  difference(_column, _oldValue, _oldState, newValue) {
    return newValue;
  },

  apply(_column, cell, change, stamp) {
    return cell.stamp === null || stamp > cell.stamp ? { value: change, stamp, state: null } : cell;
  },

  join(_column, a, b) {
    if (a.stamp !== b.stamp) return (a.stamp ?? "") > (b.stamp ?? "") ? a : b;
    // One stamp names one write. Should a broken peer have used it twice, every hub still keeps the same value.
    if (same(a.value, b.value)) return a;
    return compareText(canonicalJson(a.value), canonicalJson(b.value)) > 0 ? a : b;
  },
};
