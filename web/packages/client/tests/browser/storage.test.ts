// A device in a real browser without any hub: what is written stands there, in order, also after a crash of the page.
import type { Page as Tab } from "playwright-core";
import { expect, test } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;

let tab: Tab;

const at = world({
  then: async () => {
    tab = await at.browser.tab(at.site);
  },
});

test("every column type comes back as it was given", async () => {
  const found = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "types" });
    const key = await db.item.put({
      project_id: "42",
      status: "open 😀",
      rank: -3,
      crew: 4,
      tags: ["b", "a"],
      seen: ["x"],
      inspected_on: "2026-03-01",
      due: "2026-03-01T10:00:00Z",
      weight: 0.1 + 0.2,
      cost: "12.50",
      big: 2n ** 62n,
      open: false,
      photo: Uint8Array.of(0, 255),
      settings: { a: [1, null] },
      notes: "roof",
      config: { deep: { x: 1 } },
      remark: "hello",
    });
    const row = await db.item.get(key);
    db.close();
    return row && { ...row, id: key === row.id, big: String(row.big), photo: [...row.photo] };
  });
  expect(found).toMatchObject({
    id: true,
    status: "open 😀",
    rank: -3,
    crew: 4,
    tags: ["a", "b"],
    seen: ["x"],
    inspected_on: "2026-03-01",
    closed_on: null,
    due: "2026-03-01T10:00:00.000000Z",
    weight: 0.1 + 0.2,
    cost: "12.50",
    big: String(2n ** 62n),
    open: false,
    photo: [0, 255],
    settings: { a: [1, null] },
    notes: "roof",
    config: { deep: { x: 1 } },
    remark: "hello",
    grade: "",
  });
});

test("updates, increments, changes of sets, deletion and a second life", async () => {
  const found = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "updates" });
    const key = await db.item.put({ project_id: "1", crew: 2, tags: ["a", "b"] });
    await db.item.update(key, { crew: { increment: 3 }, tags: { add: ["c"], remove: ["a"] }, notes: "x" });
    await db.item.put({ id: key, project_id: "1", status: "again" });
    const updated = await db.item.get(key);
    const deleted = [await db.item.delete(key), await db.item.delete(key), await db.item.get(key)];
    const missing = await db.item
      .update(key, { status: "y" })
      .catch((error: unknown) => (error as { code: string }).code);
    await db.item.put({ id: key, project_id: "1" });
    const reborn = await db.item.get(key);
    db.close();
    return { updated, deleted, missing, reborn };
  });
  expect(found.updated).toMatchObject({ crew: 5, tags: ["b", "c"], notes: "x", status: "again" });
  expect(found.deleted).toEqual([true, false, null]);
  expect(found.missing).toBe("row_missing");
  expect(found.reborn).toMatchObject({ crew: 0, tags: [], notes: "", status: "draft" });
});

test("a transaction is whole: an error in it, or something else awaited, leaves nothing", async () => {
  const found = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "whole" });
    const code = async (work: Promise<unknown>): Promise<string> =>
      work.then(
        () => "done",
        (error: unknown) => (error as { code?: string }).code ?? String(error),
      );
    await db.project.put({ id: "p", name: "one" });
    const thrown = await code(
      db.transaction(async (tables) => {
        await tables.project.update("p", { name: "two" });
        throw new Error("no");
      }),
    );
    const awaited = await code(
      db.transaction(async (tables) => {
        await tables.project.update("p", { name: "three" });
        await fetch("/");
        await tables.project.put({ id: "q", name: "four" });
      }),
    );
    const last = await code(
      db.transaction(async (tables) => {
        await tables.project.update("p", { name: "five" });
        await fetch("/");
      }),
    );
    const seen = await db.transaction(async (tables) => {
      await tables.project.put({ id: "r", name: "new" });
      const own = await tables.project.where({ name: "new" }).all();
      return own.length;
    });
    const rows = await db.project.where().all();
    db.close();
    return { thrown, awaited, last, seen, rows };
  });
  expect(found.thrown).toBe("Error: no");
  expect(found.awaited).toBe("transaction_closed");
  expect(found.last).toBe("transaction_closed");
  expect(found.seen).toBe(1);
  expect(found.rows).toEqual([
    { id: "p", name: "one" },
    { id: "r", name: "new" },
  ]);
});

test("queries by index, range and order, against the same in memory", async () => {
  const found = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "queries" });
    const statuses = ["a", "b", "ba", "\u{10000}", "\uffff", ""];
    const rows = Array.from({ length: 200 }, (_, i) => ({
      project_id: String(i % 3),
      status: statuses[i % statuses.length] as string,
      rank: ((i * 7919) % 101) - 50,
      cost: `${((i * 31) % 41) - 20}.${i % 10}`,
      due: i % 4 === 0 ? null : `2026-01-${String(1 + (i % 28)).padStart(2, "0")}T00:00:00.000000Z`,
    }));
    await db.transaction(async (tables) => {
      for (const row of rows) await tables.item.put(row);
    });
    const one = await db.item
      .where({ project_id: "1", status: "b", rank: { from: -20, below: 30 } })
      .orderBy("rank")
      .all();
    const down = await db.item
      .where({ due: { from: "2026-01-20T00:00:00Z" } })
      .orderBy("due", "down")
      .limit(5)
      .all();
    const costs = await db.item
      .where({ cost: { above: "0.5" } })
      .orderBy("cost")
      .all();
    const texts = await db.item.where({ project_id: "0" }).orderBy("status").all();
    const some = await db.item.where({ status: { in: ["a", ""] } }).count();
    const none = await db.item.where({ due: null }).count();
    db.close();
    return { rows, one, down, costs, texts: texts.map(({ status }) => status), some, none };
  });
  const { rows } = found;
  const one = rows.filter((r) => r.project_id === "1" && r.status === "b" && r.rank >= -20 && r.rank < 30);
  expect(found.one.map(({ rank }) => rank)).toEqual(one.map(({ rank }) => rank).sort((a, b) => a - b));
  expect(one.length).toBeGreaterThan(3);
  const due = rows.flatMap((r) => (r.due !== null && r.due >= "2026-01-20T00:00:00.000000Z" ? [r.due] : []));
  expect(found.down.map((row) => row.due)).toEqual(due.sort().reverse().slice(0, 5));
  const costs = rows.map(({ cost }) => Number(cost)).filter((cost) => cost > 0.5);
  expect(found.costs.map(({ cost }) => Number(cost))).toEqual(costs.sort((a, b) => a - b));
  const points = (text: string): number[] => Array.from(text, (point) => point.codePointAt(0) ?? 0);
  const texts = rows.filter((r) => r.project_id === "0").map(({ status }) => status);
  texts.sort((a, b) => (points(a)[0] ?? -1) - (points(b)[0] ?? -1) || a.length - b.length);
  expect(found.texts).toEqual(texts);
  expect(found.some).toBe(rows.filter(({ status }) => status === "a" || status === "").length);
  expect(found.none).toBe(50);
});

test("two tabs: a live query in one sees what the other writes", async () => {
  const other = await at.browser.tab(at.site);
  await tab.evaluate(() => {
    const db = page.open(page.form, { name: "shared" });
    const told: number[] = [];
    db.project.where().watch((rows) => told.push(rows.length));
    Object.assign(globalThis, { told });
  });
  await other.evaluate(async () => {
    const db = page.open(page.form, { name: "shared" });
    for (const id of ["1", "2", "3"]) await db.project.put({ id, name: id });
    db.close();
  });
  await tab.waitForFunction(() => (globalThis as unknown as { told: number[] }).told.at(-1) === 3);
  await other.close();
});

test("what was written is there after the page has crashed", async () => {
  const doomed = await at.browser.tab(at.site);
  await doomed.evaluate(async () => {
    const db = page.open(page.form, { name: "crash" });
    await db.project.put({ id: "kept", name: "kept" });
  });
  await doomed.goto("chrome://crash").catch(() => undefined);
  const rows = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "crash" });
    const found = await db.project.where().all();
    db.close();
    return found;
  });
  expect(rows).toEqual([{ id: "kept", name: "kept" }]);
  await doomed.close();
});

test("a database that is deleted behind our back is noticed: it is a new device", async () => {
  const events = await tab.evaluate(async () => {
    const told: string[] = [];
    const db = page.open(page.form, { name: "gone", onEvent: (event) => told.push(event.type) });
    await db.project.put({ id: "1", name: "" });
    const outcome = await new Promise<string>((resolve) => {
      const request = indexedDB.deleteDatabase("holdfast:gone");
      request.onsuccess = () => {
        resolve("deleted");
      };
      request.onblocked = () => {
        resolve("blocked");
      };
    });
    const after = await db.project.get("1");
    db.close();
    return { told, outcome, after };
  });
  expect(events).toEqual({ told: ["closed", "replaced"], outcome: "deleted", after: null });
});
