// Where the rows of a first load are: pages as they came, and in memory which row of which page stands under which key
// and under which entries of each index. Every transaction brings it up to date by what it finds in the database.
import type { Wire } from "../kernel/column";
import { image, type Image } from "../protocol/messages";
import { parse } from "../protocol/json";
import { answer } from "./idb";
import type { UserTables } from "./tables";

/** A row in a chunk. */
export interface Place {
  readonly chunk: number;
  readonly at: number;
}

/** One index of the rows of one table in one chunk: entries in order, and the place of the row of each. */
interface Sorted {
  readonly texts: readonly string[];
  readonly at: Uint16Array;
}

interface Part {
  readonly table: string;
  readonly keys: readonly string[];
  readonly at: Uint16Array;
  readonly indexes: readonly Sorted[];
}

/** What the store `directory` holds of a chunk. */
export interface ChunkRecord {
  readonly id: number;
  readonly space: string;
  readonly parts: readonly Part[];
}

/** Rows of a chunk that do not count any more; without `at` none of them does. */
export interface MovedRecord {
  readonly chunk: number;
  readonly at?: readonly number[];
}

/** A part of an index: from `lower` on, before `upper`. */
export interface Entries {
  readonly index: number;
  readonly lower: string;
  readonly upper: string;
  readonly down: boolean;
}

interface Chunk extends ChunkRecord {
  readonly gone: Set<number>;
}

const AT_ONCE = 8;
const MOVED_AT_ONCE = 5000;
const PARSED = 24;
const utf8 = new TextDecoder();

export class Directory {
  private readonly chunks = new Map<number, Chunk>();
  private readonly places = new Map<string, Map<string, Place>>();
  private readonly parsed = new Map<number, readonly Wire[]>();
  private lastChunk = 0;
  private lastMoved = 0;

  /** Bring it up to date, inside a transaction. */
  async refresh(tx: IDBTransaction): Promise<void> {
    const [directory, moved] = [tx.objectStore("directory"), tx.objectStore("moved")];
    for (;;) {
      const range = IDBKeyRange.lowerBound(this.lastChunk, true);
      const found = (await answer(directory.getAll(range, AT_ONCE))) as ChunkRecord[];
      for (const record of found) this.add(record);
      if (found.length < AT_ONCE) break;
    }
    for (;;) {
      const range = IDBKeyRange.lowerBound(this.lastMoved, true);
      const keys = answer(moved.getAllKeys(range, MOVED_AT_ONCE));
      const found = (await answer(moved.getAll(range, MOVED_AT_ONCE))) as MovedRecord[];
      for (const record of found) this.remove(record);
      this.lastMoved = ((await keys).at(-1) as number | undefined) ?? this.lastMoved;
      if (found.length < MOVED_AT_ONCE) return;
    }
  }

  /** Forget everything: the database is another one. */
  clear(): void {
    this.chunks.clear();
    this.places.clear();
    this.parsed.clear();
    this.lastChunk = this.lastMoved = 0;
  }

  find(table: string, key: string): Place | undefined {
    return this.places.get(table)?.get(key);
  }

  spaceOf(place: Place): string {
    return this.chunks.get(place.chunk)?.space ?? "";
  }

  /** The chunks of a space. */
  ofSpace(space: string): number[] {
    return [...this.chunks.values()].filter((chunk) => chunk.space === space).map(({ id }) => id);
  }

  /** The tables of which a space has rows in chunks. */
  tablesOf(space: string): string[] {
    const chunks = [...this.chunks.values()].filter((chunk) => chunk.space === space);
    return [...new Set(chunks.flatMap(({ parts }) => parts.map(({ table }) => table)))];
  }

  /** The rows of a chunk that count: by table, the places of its living rows. */
  counted(id: number): [table: string, at: number[]][] {
    const chunk = this.chunks.get(id);
    return (chunk?.parts ?? []).map(({ table, at }) => [
      table,
      [...at].filter((row) => chunk?.gone.has(row) === false),
    ]);
  }

  /** The rows of a chunk as they came. */
  async page(tx: IDBTransaction, id: number): Promise<readonly Wire[]> {
    return this.rows(tx, id);
  }

  /**
   * The rows whose entries lie between two texts: [entry, place], of each chunk the first `most`, or the last ones
   * (`down`); in no order.
   */
  search(table: string, { index, lower, upper, down }: Entries, most: number): [string, Place][] {
    const found: [string, Place][] = [];
    for (const [chunk, { texts, at }] of this.sorted(table, index)) {
      const [first, end] = [firstFrom(texts, lower), firstFrom(texts, upper)];
      for (let i = 0, taken = 0; i < end - first && taken < most; i++) {
        const number = down ? end - 1 - i : first + i;
        const row = at[number] as number;
        if (chunk.gone.has(row)) continue;
        found.push([texts[number] as string, { chunk: chunk.id, at: row }]);
        taken++;
      }
    }
    return found;
  }

  /** How many rows have entries between two texts. */
  count(table: string, { index, lower, upper }: Entries): number {
    let count = 0;
    for (const [{ gone }, { texts, at }] of this.sorted(table, index)) {
      const [first, end] = [firstFrom(texts, lower), firstFrom(texts, upper)];
      count += end - first;
      if (gone.size > 0) for (let i = first; i < end; i++) if (gone.has(at[i] as number)) count--;
    }
    return count;
  }

  private *sorted(table: string, index: number): Generator<[Chunk, Sorted]> {
    for (const chunk of this.chunks.values()) {
      const found = chunk.parts.find((part) => part.table === table)?.indexes[index];
      if (found !== undefined) yield [chunk, found];
    }
  }

  /** One row of a chunk. */
  async image(tx: IDBTransaction, { chunk, at }: Place): Promise<Image> {
    return image((await this.rows(tx, chunk))[at], "$");
  }

  /** Rows of chunks, each with its number in `places`; chunk by chunk, so that each is read once. */
  async each(
    tx: IDBTransaction,
    places: readonly Place[],
    take: (number: number, image: Image) => void,
  ): Promise<void> {
    const byChunk = new Map<number, number[]>();
    places.forEach(({ chunk }, number) => {
      const numbers = byChunk.get(chunk);
      if (numbers === undefined) byChunk.set(chunk, [number]);
      else numbers.push(number);
    });
    for (const [chunk, numbers] of byChunk) {
      const rows = await this.rows(tx, chunk);
      for (const number of numbers) take(number, image(rows[places[number]?.at ?? 0], "$"));
    }
  }

  private async rows(tx: IDBTransaction, chunk: number): Promise<readonly Wire[]> {
    const known = this.parsed.get(chunk);
    const rows = known ?? rowsOf((await answer(tx.objectStore("chunk").get(chunk))) as Uint8Array);
    this.remember(chunk, rows);
    return rows;
  }

  private remember(chunk: number, rows: readonly Wire[]): void {
    this.parsed.delete(chunk);
    this.parsed.set(chunk, rows);
    const [oldest] = this.parsed.keys();
    if (this.parsed.size > PARSED && oldest !== undefined) this.parsed.delete(oldest);
  }

  private add(record: ChunkRecord): void {
    this.lastChunk = Math.max(this.lastChunk, record.id);
    if (this.chunks.has(record.id)) return;
    this.chunks.set(record.id, { ...record, gone: new Set() });
    for (const { table, keys, at } of record.parts) {
      const places = this.places.get(table) ?? new Map<string, Place>();
      this.places.set(table, places);
      keys.forEach((key, i) => places.set(key, { chunk: record.id, at: at[i] as number }));
    }
  }

  private remove({ chunk: id, at }: MovedRecord): void {
    const chunk = this.chunks.get(id);
    if (chunk === undefined) return;
    const gone = at === undefined ? null : new Set(at);
    for (const part of chunk.parts) {
      part.at.forEach((row, i) => {
        if (gone !== null && !gone.has(row)) return;
        const places = this.places.get(part.table);
        const key = part.keys[i] as string;
        const place = places?.get(key);
        if (place?.chunk === id && place.at === row) places?.delete(key);
      });
    }
    if (gone === null) {
      this.chunks.delete(id);
      this.parsed.delete(id);
    } else {
      for (const row of gone) chunk.gone.add(row);
    }
  }
}

/** The rows of a page as it came over the wire. */
export function rowsOf(line: Uint8Array): readonly Wire[] {
  return (parse(utf8.decode(line)) as { page: { rows: readonly Wire[] } }).page.rows;
}

/** What the directory holds of a page: of its rows at those places, which are alive and whole. */
export function chunkOf(
  tables: UserTables,
  id: number,
  space: string,
  images: readonly Image[],
  counted: (at: number) => boolean,
): ChunkRecord {
  const byTable = new Map<string, number[]>();
  images.forEach((found, at) => {
    if (!counted(at)) return;
    const places = byTable.get(found[0]);
    if (places === undefined) byTable.set(found[0], [at]);
    else places.push(at);
  });
  const parts = [...byTable].map(([name, at]): Part => {
    const user = tables.get(name);
    const size = user.table.key.length;
    const keys = at.map((place) => user.keyOf((images[place] as Image)[2]));
    const entries = at.map((place) => {
      const found = images[place] as Image;
      return user.entriesOf(found[2].slice(0, size), user.cellsOf(found));
    });
    const indexes = user.indexes.map((_, index): Sorted => {
      const order = at.map((_place, i) => i);
      const text = (i: number): string => entries[i]?.[index] ?? "";
      order.sort((a, b) => (text(a) < text(b) ? -1 : text(a) > text(b) ? 1 : 0));
      return { texts: order.map(text), at: Uint16Array.from(order, (i) => at[i] as number) };
    });
    return { table: name, keys, at: Uint16Array.from(at), indexes };
  });
  return { id, space, parts };
}

/** The number of the first text that is not before `lower`. */
function firstFrom(texts: readonly string[], lower: string): number {
  let [low, high] = [0, texts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((texts[middle] as string) < lower) low = middle + 1;
    else high = middle;
  }
  return low;
}
