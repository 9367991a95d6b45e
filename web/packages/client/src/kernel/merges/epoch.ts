// What the merge types have in common: the epoch at the start of a state, and the stamp of a cell that was changed.
import type { Cell, Wire } from "../column";

/** The later of the stamps of a cell and of a change to it. */
export function laterStamp(cell: Cell, stamp: string): string {
  return cell.stamp === null || stamp > cell.stamp ? stamp : cell.stamp;
}

/** The epoch of a state, which is its first item; 1 in the initial state. */
export function epochOf(state: Wire): number {
  return Array.isArray(state) ? Number(state[0]) : 1;
}

/** The state `[epoch]` as it is kept: null for the initial one. */
export function keptEpoch(state: Wire): Wire {
  return epochOf(state) === 1 ? null : state;
}

/** The cell of the higher epoch, which wins whole; undefined when the epochs are equal. */
export function newerOf(a: Cell, b: Cell): Cell | undefined {
  const difference = epochOf(a.state) - epochOf(b.state);
  return difference === 0 ? undefined : difference > 0 ? a : b;
}
