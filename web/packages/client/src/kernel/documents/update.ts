// Reading an update in the Yjs V1 format, strictly: what it brings, what it needs, what it deletes. Specification:
// spec/documents.md, section 2. Python: kernel/documents/update.py.
import { check, InvalidValue, MAX_INT, MAX_JSON_DEPTH } from "../values";

const MAX_UPDATE = 8 * 1024 * 1024;
const JSON_ROOTS = ["object", "array", "value"];

/** Client -> [first clock, number of clocks][]. */
export type Ranges = Map<number, [number, number][]>;

/** What an update brings (client -> [first clock, clock after the last]), the ids that it needs, what it deletes. */
export interface Update {
  readonly structs: Map<number, [number, number]>;
  readonly needs: Map<number, number>;
  deletes: Ranges;
  deletesAt: number;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The refusal of bytes that are no update for this kind of document. */
export function malformed(reason: string): InvalidValue {
  return new InvalidValue("document_malformed", `this is not an update of the document: ${reason}`);
}

/** Read an update of a text document, or of a JSON one. Throws InvalidValue (`document_malformed`, `value_nul`). */
export function readUpdate(data: Uint8Array, isText: boolean): Update {
  if (data.length > MAX_UPDATE) throw malformed(`it has ${data.length} bytes, ${MAX_UPDATE} are allowed`);
  const reader = new Reader(data, isText);
  const update = reader.update();
  if (reader.at !== data.length) throw malformed("something follows its end");
  return update;
}

/** Whether something is missing for the update in a document with that state vector (client -> number of clocks). */
export function lacks(update: Update, known: ReadonlyMap<number, number>): boolean {
  for (const [client, [first]] of update.structs) if (first > (known.get(client) ?? 0)) return true;
  for (const [client, clock] of update.needs) {
    if (clock >= Math.max(known.get(client) ?? 0, update.structs.get(client)?.[1] ?? 0)) return true;
  }
  return false;
}

/** A state vector: client -> number of clocks. */
export function readVector(data: Uint8Array): Map<number, number> {
  const reader = new Reader(data, true);
  const vector = new Map<number, number>();
  for (let left = reader.number(); left > 0; left--) vector.set(reader.number(), reader.number());
  return vector;
}

/** A set of deletions as lib0 writes it, clients from the greatest down. */
export function writeRanges(ranges: Ranges): number[] {
  const out: number[] = [];
  write(out, ranges.size);
  for (const [client, parts] of [...ranges].sort(([a], [b]) => b - a)) {
    write(out, client);
    write(out, parts.length);
    for (const [first, count] of parts) {
      write(out, first);
      write(out, count);
    }
  }
  return out;
}

function write(out: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) out.push((rest % 128) + 128);
  out.push(rest);
}

/** Reads forward through bytes; every method throws InvalidValue where they are not what they should be. */
class Reader {
  at = 0;
  readonly #found: Update = { structs: new Map(), needs: new Map(), deletes: new Map(), deletesAt: 0 };

  constructor(
    private readonly data: Uint8Array,
    private readonly isText: boolean,
  ) {}

  number(): number {
    let [value, unit] = [0, 1];
    for (;;) {
      const byte = this.byte();
      value += (byte % 128) * unit;
      if (value > MAX_INT) throw malformed("a number is too large");
      if (byte < 128) return value;
      unit *= 128;
    }
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  take(count: number): Uint8Array {
    const end = this.at + count;
    if (end > this.data.length) throw malformed("it ends too early");
    const part = this.data.subarray(this.at, end);
    this.at = end;
    return part;
  }

  string(): string {
    const part = this.take(this.number());
    let text;
    try {
      text = utf8.decode(part);
    } catch {
      throw malformed("a text is not UTF-8");
    }
    return check("text", text) as string;
  }

  update(): Update {
    const { structs } = this.#found;
    for (let left = this.number(); left > 0; left--) {
      const [count, client, first] = [this.number(), this.number(), this.number()];
      if (structs.has(client) || count === 0) throw malformed("a client is named twice, or without need");
      let clock = first;
      for (let rest = count; rest > 0; rest--) clock += this.struct();
      if (clock > MAX_INT) throw malformed("a number is too large");
      structs.set(client, [first, clock]);
    }
    this.#found.deletesAt = this.at;
    this.#found.deletes = this.ranges();
    return this.#found;
  }

  ranges(): Ranges {
    const found: Ranges = new Map();
    for (let left = this.number(); left > 0; left--) {
      const [client, count] = [this.number(), this.number()];
      if (found.has(client)) throw malformed("a client is named twice");
      const parts: [number, number][] = [];
      for (let rest = count; rest > 0; rest--) parts.push([this.number(), this.number()]);
      found.set(client, parts);
    }
    return found;
  }

  /** Read one struct; gives how many clocks it has. */
  struct(): number {
    const info = this.byte();
    const kind = info & 31;
    if (kind === 0) return this.count();
    if (info & 0x80) this.id();
    if (info & 0x40) this.id();
    if ((info & 0xc0) === 0) this.parent((info & 0x20) !== 0);
    if (kind === 1) return this.count();
    if (this.isText && kind === 4) return this.string().length || this.empty();
    if (!this.isText && kind === 8) {
      const count = this.count();
      for (let rest = count; rest > 0; rest--) this.any(0);
      return count;
    }
    if (!this.isText && kind === 7 && this.number() <= 1) return 1;
    throw malformed(`it has content of kind ${kind}, which this kind of column does not take`);
  }

  count(): number {
    return this.number() || this.empty();
  }

  empty(): never {
    throw malformed("a part of it has no length");
  }

  id(): void {
    const [client, clock] = [this.number(), this.number()];
    if (clock >= (this.#found.needs.get(client) ?? 0)) this.#found.needs.set(client, clock);
  }

  parent(isNamed: boolean): void {
    if (this.number() === 1) {
      const root = this.string();
      if (this.isText ? root !== "text" : !JSON_ROOTS.includes(root)) {
        throw malformed("it has another root than documents of this kind of column have");
      }
      if (isNamed === (this.isText || root === "array")) throw malformed("an array and a text have no members");
    } else {
      if (this.isText) throw malformed("a text has no parts");
      this.id();
    }
    if (isNamed) this.string();
  }

  /** A value as lib0 writes it: JSON only, without undefined, big integers and bytes. */
  any(depth: number): void {
    if (depth > MAX_JSON_DEPTH) throw malformed(`a value is more than ${MAX_JSON_DEPTH} levels deep`);
    const kind = this.byte();
    if (kind === 126 || kind === 121 || kind === 120) return;
    if (kind === 118 || kind === 117) {
      for (let rest = this.number(); rest > 0; rest--) {
        if (kind === 118) this.string();
        this.any(depth + 1);
      }
    } else if (kind === 119) this.string();
    else if (kind === 125) {
      if (this.byte() & 128) this.number();
    } else if (kind === 124 || kind === 123) this.real(kind === 124 ? 4 : 8);
    else throw malformed(`a value of kind ${kind} is no JSON`);
  }

  real(size: number): void {
    const part = this.take(size);
    const view = new DataView(part.buffer, part.byteOffset, size);
    if (!Number.isFinite(size === 4 ? view.getFloat32(0) : view.getFloat64(0))) {
      throw malformed("a number is not finite");
    }
  }
}
