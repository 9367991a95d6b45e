// What the hub says, made effective: pages of a space that is here, results, access and cursors, in one transaction.
import type { Wire } from "../kernel/column";
import { InvalidValue } from "../kernel/values";
import { patched, rowOf } from "../protocol/images";
import { type Footer, type Header, image, type Image, type Result } from "../protocol/messages";
import type { Row } from "../kernel/row";
import { contentOfHub } from "./arrival";
import type { StagedPage } from "./file";
import { rowsOf } from "./directory";
import { answer } from "./idb";
import { type Held, Outbox } from "./outbox";
import { Spaces } from "./spaces";
import { rowName, type RowName, type UserTable } from "./tables";
import { fold, type Known, localOperation, type Operation, type Work } from "./work";

const AT_ONCE = 500;

/** A row is not here that has to be: its space has to be read anew. */
export class MissingRow extends Error {
  constructor(
    table: string,
    key: string,
    readonly space: string,
  ) {
    super(`${table} ${JSON.stringify(key)} is not on this device, although the hub has sent it before`);
  }
}

/** What an answer did: transactions accepted, results worth telling, rows written, conflicts that are new here. */
export interface Applied {
  readonly accepted: number;
  readonly results: readonly Result[];
  readonly rows: number;
  readonly conflicts: readonly string[];
}

/** Writes what the hub says of rows, inside one transaction of the engine. */
export class Confirming {
  rows = 0;
  readonly conflicts: string[] = [];
  private readonly touched = new Set<RowName>();

  constructor(private readonly work: Work) {}

  /** Take rows of one space, in the order of the feed. */
  async take(space: string, images: readonly Image[]): Promise<void> {
    const known = images.filter(([table]) => this.work.tables.find(table) !== undefined);
    for (let at = 0; at < known.length; at += AT_ONCE) {
      const piece = known.slice(at, at + AT_ONCE);
      const names = contentOfHub(() => piece.map((one) => nameOf(this.work, one)));
      const rows = await this.work.load(names);
      rows.forEach((row, i) => {
        contentOfHub(() => {
          this.one(space, row, row.user.inOwnOrder(piece[i] as Image));
        });
      });
    }
    this.rows += known.length;
  }

  private one(space: string, known: Known, own: Image): void {
    const [, life, , , , slots] = own;
    const before = known.confirmed;
    if (life === 0) {
      // A mark that a row has left says nothing when another page has brought it in by way of another space.
      if (known.space === space || known.space === "") this.confirm(known, null, "");
      return;
    }
    const { user } = known;
    if (user.table.name === "holdfast_conflict" && before === null) this.conflicts.push(known.key);
    if (slots === null) {
      const row = rowOf(user.table, user.table.key.length, own);
      if (life % 2 === 0 && before !== null) {
        // The wire tells of a dead row without its cells; what we had of them is what a revival brings back.
        row.values = [...before.values, ...row.values.slice(before.values.length)];
        row.states = before.states;
      }
      this.confirm(known, row, space);
      return;
    }
    if (before?.life !== life) throw new MissingRow(user.table.name, known.key, space);
    this.confirm(known, patchOf(user, before, own, known.key, space), space);
  }

  /** Our own operations, which no page will tell of. */
  promote(known: Known, operations: readonly Operation[], hub: string): void {
    const ops = operations.map((op) => localOperation(known.user, op));
    this.confirm(known, fold(known.user, known.confirmed, ops, hub), known.space);
  }

  confirm(known: Known, row: Row | null, space: string): void {
    known.confirmed = row;
    known.space = row === null ? "" : space;
    this.touch(known.name);
    this.work.change(known);
  }

  /** The row is shown anew at the end. */
  touch(name: RowName): void {
    this.touched.add(name);
  }

  /** Forget what is confirmed in a space. Its chunks go whole. */
  async empty(space: string): Promise<void> {
    const { tx, directory } = this.work;
    const names = (await answer(tx.objectStore("row").index("space").getAllKeys(space))) as RowName[];
    for (let at = 0; at < names.length; at += AT_ONCE) {
      for (const known of await this.work.load(names.slice(at, at + AT_ONCE))) this.confirm(known, null, "");
    }
    for (const chunk of directory.ofSpace(space)) {
      tx.objectStore("chunk").delete(chunk);
      tx.objectStore("directory").delete(chunk);
      tx.objectStore("moved").put({ chunk });
    }
    this.work.touch(directory.tablesOf(space));
  }

  /** Show every row that was touched: confirmed with what still waits. */
  async show(): Promise<void> {
    const names = [...this.touched];
    for (let at = 0; at < names.length; at += AT_ONCE) {
      const rows = await this.work.load(names.slice(at, at + AT_ONCE));
      for (const known of rows) if (!known.waits) known.shown = known.confirmed;
      await Promise.all(rows.filter(({ waits }) => waits).map((known) => this.work.refold(known)));
    }
  }
}

function nameOf(work: Work, [table, , values]: Image): RowName {
  return rowName(table, work.tables.get(table).keyOf(values));
}

function patchOf(user: UserTable, before: Row, own: Image, key: string, space: string): Row {
  try {
    return patched(user.table, user.table.key.length, before, own);
  } catch (error) {
    if (error instanceof InvalidValue) throw new MissingRow(user.table.name, key, space);
    throw error;
  }
}

/** The rows of a staged page that count. */
export function imagesOf({ line, at }: StagedPage): Image[] {
  const rows: readonly Wire[] = rowsOf(line);
  return (at === undefined ? [...rows] : at.map((place) => rows[place])).map((row) => image(row, "$"));
}

/** Make one whole answer effective. What is staged in the database comes before `pages`. */
export async function apply(
  work: Work,
  header: Header,
  footer: Footer,
  pages: readonly StagedPage[],
): Promise<Applied> {
  const spaces = await Spaces.read(work);
  spaces.grant(header.spaces);
  const confirming = new Confirming(work);
  for (const [name, { lost }] of spaces.all) if (lost) await confirming.empty(name);
  const cursors: Record<string, string> = {};
  const stage = work.tx.objectStore("stage");
  for (const staged of [...((await answer(stage.getAll())) as StagedPage[]), ...pages]) {
    if (!Object.hasOwn(header.spaces, staged.space)) continue;
    await confirming.take(staged.space, imagesOf(staged));
    if (staged.cursor !== "") cursors[staged.space] = staged.cursor;
  }
  const answered = await settle(work, header, confirming);
  for (const name of [...spaces.all.keys()].filter((one) => !Object.hasOwn(header.spaces, one))) {
    await confirming.empty(name);
    spaces.forget(name);
  }
  await confirming.show();
  spaces.move({ ...cursors, ...footer.cursors });
  spaces.complete(Object.keys(header.spaces));
  spaces.flush();
  stage.clear();
  return { ...answered, rows: confirming.rows, conflicts: confirming.conflicts };
}

/** Take the answered transactions out of the outbox, and note the rows that they touched. */
async function settle(
  work: Work,
  header: Header,
  confirming: Confirming,
): Promise<{ accepted: number; results: Result[] }> {
  const outbox = new Outbox(work);
  const byName = new Map(header.results.map((result) => [`${result.origin} ${result.n}`, result]));
  const sending = Object.keys(header.through).length > 0 ? await outbox.sending() : [];
  const results: Result[] = [];
  let accepted = 0;
  for (const record of sending) {
    const { origin = "", n = 0 } = record;
    if (n > (header.through[origin] ?? 0)) continue;
    for (const row of record.rows) confirming.touch(row);
    const result = byName.get(`${origin} ${n}`) ?? null;
    if (result !== null) work.tx.objectStore("acknowledge").put([origin, n], [origin, n]);
    const outcome = settleOne(outbox, record, result);
    if (result !== null && outcome !== "released") results.push(result);
    if (outcome !== "accepted") continue;
    accepted++;
    await promoteUploads(work, record, confirming, header.counts ?? header.hub);
  }
  return { accepted, results };
}

/** What became of one transaction, done in the outbox. */
function settleOne(outbox: Outbox, record: Held, result: Result | null): "accepted" | "refused" | "released" {
  if (result?.code === "withdrawn" && record.withdraw !== undefined) {
    // What somebody has taken back goes; what could not be processed is tried later.
    if (record.withdraw === "cancel") outbox.done(record);
    else outbox.unname(record);
    return "released";
  }
  if (result?.outcome === "refused") {
    outbox.refuse(record, result);
    return "refused";
  }
  outbox.done(record);
  return "accepted";
}

/** No page says what became of a row that only goes up: here it stands as it was written. */
async function promoteUploads(work: Work, record: Held, confirming: Confirming, hub: string): Promise<void> {
  for (const op of record.ops as unknown as readonly Operation[]) {
    if (work.tables.find(op.table)?.uploadOnly !== true) continue;
    const known = await work.row(rowName(op.table, op.key));
    confirming.promote(known, [op], hub);
  }
}

/** The header of an answer that came in several parts: results add up, everything else is the latest. */
export function joined(first: Header | null, second: Header): Header {
  if (first === null) return second;
  const known = new Set(second.results.map(({ origin, n }) => `${origin} ${n}`));
  const earlier = first.results.filter(({ origin, n }) => !known.has(`${origin} ${n}`));
  return {
    ...second,
    through: { ...first.through, ...second.through },
    results: [...earlier, ...second.results],
    reset: [...new Set([...first.reset, ...second.reset])].sort(),
  };
}
