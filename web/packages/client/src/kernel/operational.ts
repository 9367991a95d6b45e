// Operational transformation of texts: edits that were made side by side, one after the other.
//
// An operation is an array of components from the start of the text: a number keeps so many code points, a text is
// inserted, {"d": text} deletes that text. Source: Ellis, Gibbs, Concurrency Control in Groupware Systems, 1989; the
// components are those of the text types of ottypes. Specification: spec/merge.md, section 12. Python: operational.py.
import type { Wire } from "./column";
import { edits } from "./edit_script";
import { lengthOf } from "./text";
import { check, InvalidValue, MAX_INT, membersOf } from "./values";

export type Component = number | string | { readonly d: string };
export type Operation = readonly Component[];

/** `removed` at `start` gives way to `inserted`. */
interface Edit {
  readonly start: number;
  readonly removed: string;
  readonly inserted: string;
}

/** Puts components together in canonical form. */
class Writer {
  readonly #parts: Component[] = [];
  #kept = 0;
  #inserted = "";
  #removed = "";

  keep(count: number): void {
    if (count > 0) this.#close();
    this.#kept += count;
  }

  insert(text: string): void {
    this.#inserted += text;
  }

  remove(text: string): void {
    this.#removed += text;
  }

  done(): Operation {
    this.#close();
    return this.#parts;
  }

  #close(): void {
    if (this.#inserted === "" && this.#removed === "") return;
    if (this.#kept > 0) this.#parts.push(this.#kept);
    if (this.#inserted !== "") this.#parts.push(this.#inserted);
    if (this.#removed !== "") this.#parts.push({ d: this.#removed });
    this.#kept = 0;
    this.#inserted = this.#removed = "";
  }
}

/** The operation that leads from one text to another. */
export function between(old: string, young: string): Operation {
  const [from, to] = [Array.from(old), Array.from(young)];
  return written(
    edits(from, to).map(([start, end, first, last]) => ({
      start,
      removed: from.slice(start, end).join(""),
      inserted: to.slice(first, last).join(""),
    })),
  );
}

function written(changes: readonly Edit[]): Operation {
  const writer = new Writer();
  let at = 0;
  for (const edit of changes) {
    writer.keep(edit.start - at);
    writer.insert(edit.inserted);
    writer.remove(edit.removed);
    at = edit.start + lengthOf(edit.removed);
  }
  return writer.done();
}

/** The canonical form of a foreign operation; throws InvalidValue. */
export function checked(operation: Wire): Operation {
  if (!Array.isArray(operation)) {
    throw new InvalidValue("value_type", "an operation on a text is an array of components");
  }
  const writer = new Writer();
  for (const part of operation as readonly Wire[]) {
    const members = membersOf(part);
    if (typeof part === "string") writer.insert(check("text", part) as string);
    else if (members !== undefined && Object.keys(members).join() === "d") {
      writer.remove(check("text", members["d"]) as string);
    } else if (typeof part === "number" && Number.isInteger(part) && part >= 0 && part <= MAX_INT) writer.keep(part);
    else throw new InvalidValue("value_type", 'a component is a number, a text or {"d": text}');
  }
  const canonical = writer.done();
  if (canonical.some((part) => typeof part === "number" && part > MAX_INT)) {
    throw new InvalidValue("value_range", `numbers side by side keep at most ${MAX_INT} code points`);
  }
  return canonical;
}

function editsOf(operation: Operation): Edit[] {
  const found: Edit[] = [];
  let at = 0;
  for (const part of operation) {
    if (typeof part === "number") at += part;
    else if (typeof part === "string") found.push({ start: at, removed: "", inserted: part });
    else {
      const last = found[found.length - 1];
      const inserted = last?.start === at && last.removed === "" ? (found.pop() as Edit).inserted : "";
      found.push({ start: at, removed: part.d, inserted });
      at += lengthOf(part.d);
    }
  }
  return found;
}

/** The text after the operation; throws InvalidValue (`edit_misfit`) when it was made on another text. */
export function apply(text: string, operation: Operation): string {
  const points = Array.from(text);
  const parts: string[] = [];
  let at = 0;
  for (const { start, removed, inserted } of editsOf(operation)) {
    const end = start + lengthOf(removed);
    if (end > points.length || points.slice(start, end).join("") !== removed) {
      throw new InvalidValue("edit_misfit", "the edit was made on another text than the one that it names");
    }
    parts.push(points.slice(at, start).join(""), inserted);
    at = end;
  }
  return [...parts, points.slice(at).join("")].join("");
}

/**
 * `operation` as it reads after `other`; both were made on one text. `first`: of two insertions at one place its own
 * stands first. The same replacement in both counts once.
 */
export function transform(operation: Operation, other: Operation, first: boolean): Operation {
  const theirs = editsOf(other);
  const mine = editsOf(operation).filter((edit) => edit.removed === "" || !theirs.some((one) => isSame(edit, one)));
  const [writer, left, right] = [new Writer(), new Steps(written(mine)), new Steps(other)];
  while (!left.atEnd) {
    if (left.inserts && (first || !right.inserts)) writer.insert(left.whole());
    else if (right.inserts) writer.keep(lengthOf(right.whole()));
    else {
      const size = Math.min(left.size, right.size);
      const removed = left.take(size);
      if (right.take(size) !== null) continue;
      if (removed === null) writer.keep(size);
      else writer.remove(removed);
    }
  }
  return writer.done();
}

/**
 * Whether two operations on one text meet: both replace some of the same text, not by the same, or one inserts into what
 * the other deletes.
 */
export function overlap(operation: Operation, other: Operation): boolean {
  const theirs = editsOf(other);
  return editsOf(operation).some((edit) => theirs.some((one) => meets(edit, one)));
}

function isSame(a: Edit, b: Edit): boolean {
  return a.start === b.start && a.removed === b.removed && a.inserted === b.inserted;
}

function meets(a: Edit, b: Edit): boolean {
  if (isSame(a, b) || (a.inserted === "" && b.inserted === "")) return false;
  const [endA, endB] = [a.start + lengthOf(a.removed), b.start + lengthOf(b.removed)];
  if (a.removed !== "" && b.removed !== "") return a.start < endB && b.start < endA;
  return (b.start < a.start && a.start < endB) || (a.start < b.start && b.start < endA);
}

/** Walks over the components, which may be taken in pieces; after the last one everything is kept. */
class Steps {
  #index = 0;
  #used = 0;

  constructor(private readonly parts: Operation) {}

  get atEnd(): boolean {
    return this.#index === this.parts.length;
  }

  get inserts(): boolean {
    return typeof this.parts[this.#index] === "string";
  }

  /** How much of the text the present component still covers. */
  get size(): number {
    const part = this.parts[this.#index];
    return part === undefined ? MAX_INT : reach(part) - this.#used;
  }

  /** The present insertion. */
  whole(): string {
    return this.parts[this.#index++] as string;
  }

  /** Go on by `count` code points; gives what is deleted of them, null when they are kept. */
  take(count: number): string | null {
    const part = this.parts[this.#index];
    if (part === undefined) return null;
    const points = typeof part === "object" ? Array.from(part.d).slice(this.#used, this.#used + count) : null;
    this.#used += count;
    if (this.#used === reach(part)) {
      this.#index++;
      this.#used = 0;
    }
    return points?.join("") ?? null;
  }
}

function reach(part: Component): number {
  return typeof part === "number" ? part : lengthOf((part as { readonly d: string }).d);
}
