// What a document holds: a Yjs document that is loaded, changed and written again. Specification: spec/documents.md.
// Python: kernel/documents/content.py.
import { fingerprint } from "../fingerprint";
import { InvalidValue } from "../values";
import { library, type YArray, type YDoc, type YMap, type YText } from "./library";
import { lacks, type Ranges, readUpdate, readVector, writeRanges } from "./update";

const MAX_STATE = 8 * 1024 * 1024;

/** The Yjs client for those fields: 48 bits of a hash over them. */
export function clientOf(...fields: string[]): number {
  return parseInt(fingerprint(...fields), 16);
}

/** The bytes of an update in base64; throws InvalidValue (`value_format`). */
export function decoded(update: string): Uint8Array {
  let data = new Uint8Array(0);
  try {
    data = Uint8Array.from(atob(update), (character) => character.charCodeAt(0));
  } catch {
    // What follows says what is wrong.
  }
  if (data.length === 0 || encoded(data) !== update) {
    throw new InvalidValue("value_format", "an update is written in base64 with padding (RFC 4648, section 4)");
  }
  return data;
}

/** Bytes in base64. */
export function encoded(data: Uint8Array): string {
  const parts: string[] = [];
  for (let i = 0; i < data.length; i += 8192) parts.push(String.fromCharCode(...data.subarray(i, i + 8192)));
  return btoa(parts.join(""));
}

/** One document in memory. */
export class Content {
  readonly doc: YDoc;

  constructor(readonly isText: boolean) {
    this.doc = new (library().Doc)();
  }

  get text(): YText {
    return this.doc.getText("text");
  }

  get object(): YMap {
    return this.doc.getMap("object");
  }

  get array(): YArray {
    return this.doc.getArray("array");
  }

  get scalar(): YMap {
    return this.doc.getMap("value");
  }

  /** Take a whole state. */
  load(state: string): void {
    if (state !== "") library().applyUpdate(this.doc, decoded(state));
  }

  /**
   * Apply an update. Deletions of what is not here say nothing and are left out. Throws InvalidValue: `document_gap` when
   * it needs what is not here, `document_malformed`.
   */
  apply(data: Uint8Array): void {
    const update = readUpdate(data, this.isText);
    const known = readVector(library().encodeStateVector(this.doc as never));
    if (lacks(update, known)) {
      throw new InvalidValue("document_gap", "the update builds on edits that are not in the document");
    }
    for (const [client, [, end]] of update.structs) known.set(client, Math.max(known.get(client) ?? 0, end));
    const kept = [...data.subarray(0, update.deletesAt), ...writeRanges(present(update.deletes, known))];
    library().applyUpdate(this.doc, Uint8Array.from(kept));
  }

  /** The whole document, compact, in base64; empty when nothing is in it. */
  state(): string {
    const data = library().encodeStateAsUpdate(this.doc);
    if (data.length > MAX_STATE) {
      throw new InvalidValue("value_range", `a document has at most ${MAX_STATE} bytes, with what was deleted in it`);
    }
    return data.length === 2 ? "" : encoded(data);
  }

  /** 12 hexadecimal digits that name the content: equal names, equal content. */
  name(): string {
    const { ds, sv } = library().snapshot(this.doc);
    const clocks = [...sv].filter(([, clock]) => clock > 0).sort(([a], [b]) => a - b);
    const gone = [...ds.clients].sort(([a], [b]) => a - b);
    return fingerprint(
      clocks.map(([client, clock]) => `${client}:${clock}`).join(),
      gone.flatMap(([client, items]) => joined(items).map(([first, count]) => `${client}:${first}+${count}`)).join(),
    );
  }
}

/** Ranges in order, with those that touch made one. */
function joined(items: readonly { readonly clock: number; readonly len: number }[]): [number, number][] {
  const result: [number, number][] = [];
  for (const { clock, len } of [...items].sort((a, b) => a.clock - b.clock)) {
    const last = result[result.length - 1];
    if (last !== undefined && last[0] + last[1] >= clock) last[1] = Math.max(last[1], clock + len - last[0]);
    else result.push([clock, len]);
  }
  return result;
}

/** The deletions of what is there. */
function present(deletes: Ranges, known: ReadonlyMap<number, number>): Ranges {
  const result: Ranges = new Map();
  for (const [client, ranges] of deletes) {
    const end = known.get(client) ?? 0;
    const clipped = ranges
      .filter(([first]) => first < end)
      .map(([first, count]): [number, number] => [first, Math.min(count, end - first)]);
    if (clipped.length > 0) result.set(client, clipped);
  }
  return result;
}
