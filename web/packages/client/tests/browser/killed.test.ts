// A browser process that is killed in the middle of a sync: in a first load, and between the hub's work and its answer.
import type { Page as Tab } from "playwright-core";
import { expect, test, vi } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;

const ROWS = 3000;
const PIECE = 1000;
const EDITS = 60;

const at = world({ python: true });

async function notes(first: number, author: string): Promise<void> {
  const numbers = "with recursive n (i) as (select ? union all select i + 1 from n where i + 1 < ?)";
  for (let from = first; from < first + ROWS; from += PIECE) {
    await at.python.execute(
      `insert into note (id, project_id, author, at, body) ${numbers}
       select 'n' || i, '1', ?, i, hex(randomblob(150)) from n`,
      from,
      from + PIECE,
      author,
    );
    await at.python.sync();
  }
}

async function sync(tab: Tab, name: string): Promise<{ ok: boolean; notes: number; crew: number; pending: number }> {
  return tab.evaluate(async (named) => {
    const db = page.openTest(named, "anna");
    await db.sync();
    const { ok } = await db.verify();
    const [count, item, pending] = [await db.note.where().count(), await db.item.get("one"), await db.pending()];
    db.close();
    return { ok, notes: count, crew: item?.crew ?? -1, pending: pending.length };
  }, name);
}

test("killed in a sync and in a first load: nothing is lost, nothing counts twice", async () => {
  await at.python.execute("insert into item (id, project_id) values ('one', '1')");
  await notes(0, "first");
  const before = await at.browser.tab(at.site);
  expect(await sync(before, "known")).toEqual({ ok: true, notes: ROWS, crew: 0, pending: 0 });
  await notes(ROWS, "second");
  at.site.stallAfter = 200_000;
  for (const name of ["known", "fresh"]) {
    await before.evaluate(
      async ([named, edits]) => {
        const db = page.openTest(named, "anna");
        if (named === "fresh") await db.item.put({ id: "made", project_id: "1", crew: 5 });
        else for (let i = 0; i < edits; i++) await db.item.update("one", { crew: { increment: 1 } });
        void db.sync();
      },
      [name, EDITS] as const,
    );
  }
  await vi.waitUntil(() => at.site.stalled === 2, { interval: 20, timeout: 30_000 });
  await at.browser.kill();
  at.site.cut();
  at.site.stallAfter = Infinity;

  await at.browser.start();
  at.site.online = false;
  const after = await at.browser.tab(at.site);
  const offline = await after.evaluate(async () => {
    const [known, fresh] = [page.openTest("known", "anna"), page.openTest("fresh", "anna")];
    const seen = [
      (await known.item.get("one"))?.crew,
      await known.note.where().count(),
      (await known.pending()).length,
      (await fresh.item.get("made"))?.crew,
      (await fresh.pending()).length,
    ];
    known.close();
    fresh.close();
    return seen;
  });
  expect(offline).toEqual([EDITS, ROWS, EDITS, 5, 1]);
  at.site.online = true;
  expect(await sync(after, "known")).toEqual({ ok: true, notes: 2 * ROWS, crew: EDITS, pending: 0 });
  expect(await sync(after, "fresh")).toEqual({ ok: true, notes: 2 * ROWS, crew: EDITS, pending: 0 });
  await at.python.sync();
  expect(await at.python.execute("select id, crew from item order by id")).toEqual([
    { id: "made", crew: 5 },
    { id: "one", crew: EDITS },
  ]);
  expect(await at.python.verify()).toBe(true);
});

test("rows of a first load are read, found, edited, deleted and moved on like any others", async () => {
  const tab = await at.browser.tab(at.site);
  const found = await tab.evaluate(async () => {
    const db = page.openTest("fresh", "anna");
    const byIndex = await db.note
      .where({ author: "second", at: { from: 4000, below: 4003 } })
      .orderBy("at")
      .all();
    const last = await db.note.where({ author: "first" }).orderBy("at", "down").limit(2).all();
    const byKey = await db.note.where().limit(3).all();
    const long = await db.note.where({ body: { in: [byIndex[0]?.body ?? ""] } }).all();
    await db.note.update("n4001", { author: "third" });
    await db.note.delete("n4002");
    const inside = await db.transaction(async (tables) => {
      await tables.note.update("n4000", { author: "third" });
      return (await tables.note.where({ author: "third" }).all()).map(({ id }) => id);
    });
    const left = await db.note.where({ author: "second", at: { from: 4000, below: 4004 } }).all();
    const count = await db.note.where().count();
    db.close();
    return {
      byIndex: byIndex.map(({ id }) => id),
      last: last.map(({ at }) => at),
      byKey: byKey.map(({ id }) => id),
      long: long.map(({ id }) => id),
      inside,
      left: left.map(({ id }) => id),
      count,
    };
  });
  expect(found).toEqual({
    byIndex: ["n4000", "n4001", "n4002"],
    last: [2999, 2998],
    byKey: ["n0", "n1", "n10"],
    long: ["n4000"],
    inside: ["n4000", "n4001"],
    left: ["n4003"],
    count: 2 * ROWS - 1,
  });
  expect(await sync(tab, "fresh")).toMatchObject({ ok: true, notes: 2 * ROWS - 1 });
  await at.python.sync();
  await at.python.execute("update note set author = 'python' where id in ('n4000', 'n5')");
  await at.python.execute("delete from note where id = 'n6'");
  await at.python.sync();
  expect(await sync(tab, "fresh")).toMatchObject({ ok: true, notes: 2 * ROWS - 2 });
  expect(await sync(tab, "known")).toMatchObject({ ok: true, notes: 2 * ROWS - 2 });
  const authors = await tab.evaluate(async () => {
    const db = page.openTest("fresh", "anna");
    const rows = await db.note.where({ author: "python" }).all();
    const again = page.openTest("fresh", "anna");
    const same = await again.note.where({ author: "python" }).all();
    db.close();
    again.close();
    return [rows.map(({ id }) => id), same.map(({ id }) => id)];
  });
  expect(authors).toEqual([
    ["n4000", "n5"],
    ["n4000", "n5"],
  ]);
});
