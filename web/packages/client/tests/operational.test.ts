// Our transformation beside a published text type (ot-text-unicode, ISC): the same operations, the same texts. Nothing
// of its tests is here: both are asked about operations that are drawn in this file.
import { type as published } from "ot-text-unicode";
import { expect, test } from "vitest";

import { apply, checked, type Component, type Operation, transform } from "../src/kernel/operational";

const SIGNS = ["a", "b", "c", "é", "e\u0301", "🏗", "👩‍👧", "～", "\u0300"];
const RUNS = 2_000;

/** A small generator of its own, so that every run draws the same (Mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const draw = generator(7);
const below = (limit: number): number => Math.floor(draw() * limit);

function words(most: number): string {
  return Array.from({ length: below(most + 1) }, () => SIGNS[below(SIGNS.length)]).join("");
}

/** An operation on a text: it keeps, inserts and deletes here and there. */
function operation(text: string): Operation {
  const points = Array.from(text);
  const parts: Component[] = [];
  let at = 0;
  while (at < points.length) {
    const size = 1 + below(Math.min(4, points.length - at));
    const kind = below(3);
    if (kind === 0) parts.push(words(2));
    else if (kind === 1) parts.push({ d: points.slice(at, at + size).join("") });
    else parts.push(size);
    if (kind > 0) at += size;
  }
  return checked([...parts, words(2)] as never);
}

type Replacement = string;

/** What an operation replaces, and where: "place: old -> new". */
function replacements(op: Operation): Set<Replacement> {
  const found = new Set<Replacement>();
  let [at, typed] = [0, ""];
  for (const part of op) {
    if (typeof part === "string") typed = part;
    else {
      if (typeof part === "object" && typed !== "") found.add(`${String(at)}: ${part.d} -> ${typed}`);
      at += typeof part === "number" ? part : Array.from(part.d).length;
      typed = "";
    }
  }
  return found;
}

test("TP1, and the same text as a published type makes", () => {
  let alike = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const text = words(8);
    const [a, b] = [operation(text), operation(text)];
    const mine = apply(apply(text, a), transform(b, a, false));
    expect(apply(apply(text, b), transform(a, b, true)), JSON.stringify({ text, a, b })).toBe(mine);
    // Where both replace the same by the same, ours counts it once, and theirs writes it twice.
    if ([...replacements(a)].some((one) => replacements(b).has(one))) {
      alike += 1;
      continue;
    }
    const after = published.transform(b as never, a as never, "right");
    const theirs = published.apply(published.apply(text, a as never), after);
    expect(mine, JSON.stringify({ text, a, b })).toBe(theirs);
  }
  expect(alike).toBeLessThan(RUNS / 10);
});
