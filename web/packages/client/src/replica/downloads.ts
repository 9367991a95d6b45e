// Downloads: the stream of an answer, read into the stage, or into chunks when a space comes for the first time.
import { HoldfastError } from "../errors";
import { decodeLine, lineCutter } from "../protocol/codec";
import type { Footer, Header, Image, Page } from "../protocol/messages";
import { checkPage } from "./arrival";
import { Confirming } from "./apply";
import type { Device } from "./device";
import { chunkOf } from "./directory";
import type { SpaceRecord, StagedPage } from "./file";
import { answer } from "./idb";
import type { Transfer } from "./progress";
import { Spaces } from "./spaces";
import { rowName, type RowName } from "./tables";
import type { Work } from "./work";

/** Pages wait in memory up to so many bytes, then in the database. */
const MEMORY_BYTES = 4 * 1024 * 1024;
/** A first load is written in transactions of about so many bytes of pages. */
const DIRECT_BYTES = 2 * 1024 * 1024;

/** A page as it came, and what it says. */
interface Arrived {
  readonly page: Page;
  readonly line: Uint8Array<ArrayBuffer>;
}

export type Begin = (header: Header) => Promise<ReadonlyMap<string, SpaceRecord>>;

export class Downloads {
  /** The cursors of the last request. */
  asked: ReadonlyMap<string, string> = new Map();
  /** How many pages have come since the last request, and rows that were written before the end of the answer. */
  kept = 0;
  rows = 0;
  readonly conflicts: string[] = [];
  private pages: StagedPage[] = [];
  private size = 0;
  private direct: Arrived[] = [];
  private directSize = 0;
  private writing: Promise<void> = Promise.resolve();
  private check: (work: Work) => void = () => undefined;

  constructor(
    private readonly device: Device,
    private readonly transfer: Transfer,
  ) {}

  /** The pages that wait in memory. */
  get staged(): readonly StagedPage[] {
    return this.pages;
  }

  /**
   * Read header, pages and footer. `begin` takes the header and gives the spaces that are known. What breaks the stream
   * is thrown, what had come is kept. `check` throws in a transaction when the pages are not to be kept any more.
   */
  async read(chunks: AsyncIterable<Uint8Array>, begin: Begin, check: (work: Work) => void): Promise<[Header, Footer]> {
    this.rows = 0;
    this.check = check;
    try {
      return await this.stream(chunks, begin);
    } catch (error) {
      await this.keep(error);
      throw error;
    }
  }

  /** Forget what is in memory. */
  clear(): void {
    [this.pages, this.size] = [[], 0];
  }

  /** Move what is in memory into the database, so that a restart goes on from there. */
  async spill(): Promise<void> {
    if (this.pages.length === 0) return;
    const { pages } = this;
    await this.device.write((work) => {
      this.check(work);
      for (const page of pages) work.tx.objectStore("stage").put(page);
      return Promise.resolve();
    });
    this.clear();
  }

  /** Forget the pages of those spaces in memory. */
  drop(spaces: readonly string[]): void {
    this.pages = this.pages.filter(({ space }) => !spaces.includes(space));
  }

  private async stream(chunks: AsyncIterable<Uint8Array>, begin: Begin): Promise<[Header, Footer]> {
    let header: Header | null = null;
    let known: ReadonlyMap<string, SpaceRecord> = new Map();
    let further = false;
    const cut = lineCutter();
    for await (const chunk of chunks) {
      for (const line of cut(chunk)) {
        const said = decodeLine(line);
        if (said.kind === "header") {
          if (header !== null) throw malformed("the hub's answer has two headers");
          header = said.header;
          known = await begin(header);
        } else if (header === null) {
          throw malformed("the hub's answer does not begin with a header");
        } else if (said.kind === "footer") {
          await this.flush();
          await this.writing;
          if (said.footer.more && !further) throw malformed("the answer says that more comes, but leads no further");
          return [header, said.footer];
        } else {
          const { page } = said;
          if (!Object.hasOwn(header.spaces, page.space)) throw malformed("a page of a space that is not granted");
          // Several pages may have come at once: in between whoever uses the page has his turn.
          await turn();
          further ||= this.asked.get(page.space) !== page.cursor;
          await this.take(page, line.slice(), known.get(page.space));
        }
      }
    }
    throw new HoldfastError("response_incomplete", "the hub's answer ended before its footer; what arrived is kept");
  }

  private async take(page: Page, line: Uint8Array<ArrayBuffer>, space: SpaceRecord | undefined): Promise<void> {
    checkPage(this.device.tables, page); // what cannot be applied must not be kept
    this.kept++;
    this.transfer.page(page.rows.length, line.length);
    if (space === undefined || !(space.ready || space.lost)) {
      this.direct.push({ page, line });
      this.directSize += line.length;
      if (this.directSize > DIRECT_BYTES || page.loaded !== null) await this.flush();
      return;
    }
    this.pages.push({ space: page.space, cursor: page.cursor, line });
    this.size += line.length;
    if (this.size > MEMORY_BYTES) await this.spill();
  }

  /** The answer was cut off: keep its pages. The error that cut it off is the one to tell of. */
  private async keep(cause: unknown): Promise<void> {
    try {
      await this.flush();
      await this.writing;
      await this.spill();
    } catch (error) {
      if (!(cause instanceof HoldfastError) || !(error instanceof HoldfastError)) throw error;
    }
  }

  /**
   * Write the pages of a first load with their cursors, while the next ones are read. A crash of the machine may take the
   * last of these transactions, and then their cursors, too: so they need not wait for the disk.
   */
  private async flush(): Promise<void> {
    await this.writing;
    const { direct } = this;
    if (direct.length === 0) return;
    [this.direct, this.directSize] = [[], 0];
    this.writing = this.device.write((work) => this.write(work, direct), "relaxed");
    // Whoever awaits it next hears of a failure.
    this.writing.catch(() => undefined);
  }

  private async write(work: Work, arrived: readonly Arrived[]): Promise<void> {
    this.check(work);
    const spaces = await Spaces.read(work);
    const { tx } = work;
    const confirming = new Confirming(work);
    const last = new Map<RowName, Arrived>();
    for (const one of arrived) for (const image of one.page.rows) last.set(nameIn(work, image), one);
    let id = work.state.chunks;
    for (const one of arrived) {
      const { page, line } = one;
      const names = page.rows.map((image) => nameIn(work, image));
      const records = await recordsOf(work, names);
      const counts = page.rows.map((image, at) => {
        const name = names[at] as RowName;
        const isKnown = work.tables.find(image[0]) !== undefined;
        return isKnown && image[1] % 2 === 1 && image[5] === null && last.get(name) === one && !records.has(name);
      });
      this.replace(work, page, counts);
      id++;
      tx.objectStore("directory").put(chunkOf(work.tables, id, page.space, page.rows, (at) => counts[at] === true));
      tx.objectStore("chunk").put(line, id);
      const others = page.rows.flatMap((_, at) =>
        counts[at] !== true && last.get(names[at] ?? "") === one ? [at] : [],
      );
      await this.others(work, confirming, one, others);
      spaces.move({ [page.space]: page.cursor });
      if (page.loaded !== null) spaces.load(page.loaded);
      work.touch(page.rows.map(([table]) => table));
      this.rows += page.rows.length;
    }
    await confirming.show();
    this.conflicts.push(...confirming.conflicts);
    work.set({ chunks: id });
    spaces.flush();
  }

  /** Rows of earlier chunks that these pages bring anew do not count there any more. */
  private replace(work: Work, page: Page, counts: readonly boolean[]): void {
    page.rows.forEach((image, at) => {
      if (counts[at] !== true) return;
      const place = work.directory.find(image[0], work.tables.get(image[0]).keyOf(image[2]));
      if (place !== undefined) work.tx.objectStore("moved").put({ chunk: place.chunk, at: [place.at] });
      if (image[0] === "holdfast_conflict") this.conflicts.push(work.tables.get(image[0]).keyOf(image[2]));
    });
  }

  /**
   * The other rows of a page: those on which operations wait are staged until the answer is whole, and have no cursor of
   * their own, because that of their space moves with the pages around them.
   */
  private async others(
    work: Work,
    confirming: Confirming,
    { page, line }: Arrived,
    at: readonly number[],
  ): Promise<void> {
    const own = at.filter((place) => work.tables.find((page.rows[place] as Image)[0]) !== undefined);
    if (own.length === 0) return;
    const images = own.map((place) => page.rows[place] as Image);
    const rows = await work.load(images.map((image) => nameIn(work, image)));
    const waiting = own.filter((_, i) => rows[i]?.waits === true);
    if (waiting.length > 0) {
      work.tx.objectStore("stage").put({ space: page.space, cursor: "", line, at: waiting } satisfies StagedPage);
    }
    await confirming.take(
      page.space,
      images.filter((_, i) => rows[i]?.waits !== true),
    );
  }
}

/** Those of the rows that stand alone already. */
async function recordsOf(work: Work, names: readonly RowName[]): Promise<Set<RowName>> {
  const store = work.tx.objectStore("row");
  if ((await answer(store.count())) === 0) return new Set();
  const keys = await Promise.all(names.map((name) => answer(store.getKey(name))));
  return new Set(keys.filter((key) => key !== undefined) as RowName[]);
}

/** Let everything else that waits run first. */
async function turn(): Promise<void> {
  const { scheduler } = globalThis as { scheduler?: { yield?: () => Promise<void> } };
  if (scheduler?.yield !== undefined) return scheduler.yield();
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function nameIn(work: Work, [table, , values]: Image): RowName {
  return rowName(table, work.tables.find(table)?.keyOf(values) ?? "");
}

function malformed(message: string): HoldfastError {
  return new HoldfastError("response_malformed", message);
}
