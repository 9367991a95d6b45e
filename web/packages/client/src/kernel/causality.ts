// Version vectors: which of two histories has seen which.
//
// Source: Parker et al., Detection of Mutual Inconsistency in Distributed Systems, 1983. A vector maps a replica to the
// number of its events that are known; an absent replica counts 0, and no entry of 0 is ever written. Used between hubs.
import { compareText } from "./text";

export type Vector = ReadonlyMap<string, number>;

/** A new vector in which `replica` has one event more. */
export function increment(vector: Vector, replica: string): Vector {
  return new Map(vector).set(replica, (vector.get(replica) ?? 0) + 1);
}

/** The history of both: entry by entry the larger number, in order of the names. */
export function join(a: Vector, b: Vector): Vector {
  const joined = new Map<string, number>();
  for (const name of [...new Set([...a.keys(), ...b.keys()])].sort(compareText)) {
    const count = Math.max(a.get(name) ?? 0, b.get(name) ?? 0);
    if (count > 0) joined.set(name, count);
  }
  return joined;
}

/** "before" when b has seen all of a and more, "after" the other way round, "equal", or "concurrent". */
export function compare(a: Vector, b: Vector): "before" | "after" | "equal" | "concurrent" {
  const aBeyond = isBeyond(a, b);
  const bBeyond = isBeyond(b, a);
  if (aBeyond) return bBeyond ? "concurrent" : "after";
  return bBeyond ? "before" : "equal";
}

/** Whether b has seen all of a, and more. */
export function happensBefore(a: Vector, b: Vector): boolean {
  return compare(a, b) === "before";
}

/** Whether each has events that the other has not seen. */
export function concurrent(a: Vector, b: Vector): boolean {
  return compare(a, b) === "concurrent";
}

function isBeyond(a: Vector, b: Vector): boolean {
  return [...a].some(([name, count]) => count > (b.get(name) ?? 0));
}
