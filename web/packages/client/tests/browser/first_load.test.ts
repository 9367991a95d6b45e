// A first load of many rows, beside raw IndexedDB in the same run. `make test` takes 5,000; HOLDFAST_FIRST_LOAD_ROWS another number.
import type { Page as Tab } from "playwright-core";
import { expect, test } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;

const ROWS = Number(process.env["HOLDFAST_FIRST_LOAD_ROWS"] ?? 5_000);
const PIECE = 1000;

const at = world({
  python: true,
  limit: 300_000,
  // 545 bytes in JSON, with life and stamps. A request holds so many that the hub answers soon on a busy machine, too.
  then: async () => {
    for (let first = 0; first < ROWS; first += PIECE) {
      await at.python.execute(
        `insert into note (id, project_id, author, at, body)
         with recursive n (i) as (select ? union all select i + 1 from n where i + 1 < ?)
         select printf('01890000-0000-7000-8000-%012x', i), '1', 'author ' || (i % 50), i, hex(randomblob(200)) from n`,
        first,
        Math.min(first + PIECE, ROWS),
      );
      await at.python.sync();
    }
  },
});

/** What IndexedDB alone takes for as many rows: one record each with one index, and in chunks. Milliseconds. */
async function floor(tab: Tab): Promise<{ chunks: number; records: number }> {
  return tab.evaluate(async (size) => {
    const rows = Array.from({ length: size }, (_, i) => ({
      id: `01890000-0000-7000-8000-${i.toString(16).padStart(12, "0")}`,
      project_id: "1",
      author: `author ${i % 50}`,
      at: i,
      body: "x".repeat(400),
    }));
    const db = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open("raw", 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("row", { keyPath: "id" }).createIndex("author", ["author", "at"]);
        request.result.createObjectStore("chunk");
      };
      request.onsuccess = () => {
        resolve(request.result);
      };
    });
    const timed = async (store: string, put: (into: IDBObjectStore) => void): Promise<number> => {
      const began = performance.now();
      const tx = db.transaction(store, "readwrite", { durability: "strict" });
      put(tx.objectStore(store));
      await new Promise((resolve) => (tx.oncomplete = resolve));
      return performance.now() - began;
    };
    const chunks = await timed("chunk", (store) => {
      for (let at = 0; at < size; at += 1000) store.put(rows.slice(at, at + 1000), at);
    });
    const records = await timed("row", (store) => {
      for (const row of rows) store.put(row);
    });
    db.close();
    return { chunks, records };
  }, ROWS);
}

/** The same rows from the hub, as an application sees them come. */
async function load(tab: Tab) {
  return tab.evaluate(async (size) => {
    const long: number[] = [];
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) long.push(duration);
    });
    observer.observe({ type: "longtask" });
    const db = page.openTest("load", "anna");
    const began = performance.now();
    let [first, visible] = [0, 0];
    const seen = new Promise<void>((resolve) => {
      const stop = db.note
        .where()
        .limit(50)
        .watch((rows) => {
          if (rows.length > 0) first ||= performance.now() - began;
          void db.note
            .where()
            .count()
            .then((count) => {
              if (count < size) return;
              visible ||= performance.now() - began;
              stop();
              resolve();
            });
        });
    });
    await db.sync();
    const persisted = performance.now() - began;
    await seen;
    const memory = (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize;
    db.close();
    const opened = performance.now();
    const again = page.openTest("load", "anna");
    const count = await again.note.where({ author: "author 7" }).count();
    const reopened = performance.now() - opened;
    const verifying = performance.now();
    const { ok } = await again.verify();
    const verified = performance.now() - verifying;
    again.close();
    return {
      first,
      visible,
      persisted,
      memory,
      longest: Math.max(0, ...long),
      tasks: long.length,
      reopened,
      verified,
      count,
      ok,
    };
  }, ROWS);
}

test("a first load beside raw IndexedDB", async () => {
  const tab = await at.browser.tab(at.site);
  const raw = await floor(tab);
  const ours = await load(tab);
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;
  console.info(
    `A first load of ${ROWS} rows: first rows ${seconds(ours.first)}, all visible ${seconds(ours.visible)}, ` +
      `persisted ${seconds(ours.persisted)}; longest task ${Math.round(ours.longest)} ms (${ours.tasks} over 50 ms), ` +
      `${Math.round(ours.memory / 1e6)} MB; reopened ${seconds(ours.reopened)}, verified ${seconds(ours.verified)}. ` +
      `Raw IndexedDB: one record a row ${seconds(raw.records)}, in chunks of 1,000 ${seconds(raw.chunks)}`,
  );
  expect(ours).toMatchObject({ ok: true, count: ROWS / 50 });
  expect(ours.persisted).toBeLessThan(raw.records + 10_000);
}, 300_000);
