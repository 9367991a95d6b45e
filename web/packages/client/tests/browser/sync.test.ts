// Browsers and a Python device at one real hub over HTTP: offline edits of every column type, refusals, a process that
// is killed in the middle of a sync. In the end all copies are equal by digest.
import type { Page as Tab } from "playwright-core";
import { expect, test } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;

let tab: Tab;

/** Everything that an application reads of the items of a device, in a form that crosses to this process. */
async function items(where: Tab, name: string): Promise<unknown[]> {
  return where.evaluate(async (named) => {
    const db = page.open(page.form, { name: named, token: named });
    const rows = await db.item.where().all();
    db.close();
    return rows.map((row) => ({ ...row, big: String(row.big), photo: [...row.photo] }));
  }, name);
}

async function sync(
  where: Tab,
  name: string,
): Promise<{ pushed: number; refused: number; ok: boolean; codes: string[] }> {
  return where.evaluate(async (named) => {
    const db = page.open(page.form, { name: named, token: named });
    const { pushed, refused } = await db.sync();
    const { ok } = await db.verify();
    db.close();
    return { pushed, refused: refused.length, ok, codes: refused.map(({ code }) => code) };
  }, name);
}

const at = world({
  python: true,
  then: async () => {
    tab = await at.browser.tab(at.site);
  },
});

test("what one writes, the others read: every column type, both ways", async () => {
  const key = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "anna", token: "anna" });
    await db.project.put({ id: "1", name: "Harbour" });
    const made = await db.item.put({
      project_id: "1", status: "open", rank: 7, crew: 4, tags: ["a", "b"], seen: ["x"], inspected_on: "2026-05-01",
      closed_on: "2026-05-01", due: "2026-06-01T12:00:00Z", weight: 0.1, cost: "12.50", big: 2n ** 62n, open: false,
      photo: Uint8Array.of(1, 2, 255), settings: { deep: [1, { x: null }] }, grade: "good", level: 3, notes: "roof 😀",
      config: { a: { b: [1, 2] } }, remark: "first line",
    }); // prettier-ignore
    db.close();
    return made;
  });
  expect(await sync(tab, "anna")).toEqual({ pushed: 2, refused: 0, ok: true, codes: [] });
  expect(await sync(tab, "ben")).toEqual({ pushed: 0, refused: 0, ok: true, codes: [] });
  expect(await items(tab, "ben")).toEqual(await items(tab, "anna"));
  await at.python.sync();
  const [row] = await at.python.execute("select * from item where id = ?", key);
  expect(row).toMatchObject({
    status: "open",
    rank: 7,
    crew: 4,
    notes: "roof 😀",
    remark: "first line",
    cost: "12.50",
  });
  expect(await at.python.verify()).toBe(true);
});

test("offline edits of every column type on three devices: all equal by digest", async () => {
  const [{ id: key }] = (await at.python.execute("select id from item")) as [{ id: string }];
  await at.python.execute(
    `update item set status = 'python', rank = 1, crew = crew + 10, tags = '["b","p"]', inspected_on = '2026-04-01',
     closed_on = '2026-07-01', weight = 2.5, cost = '3', open = 1, notes = notes || ' python', remark = remark || '!',
     settings = '{"by":"python"}', config = '{"a":{"b":[1,2,3]}}', level = 9, grade = 'python' where id = ?`,
    key,
  );
  await at.python.execute("insert into item (id, project_id, status) values ('py', '1', 'new')");
  for (const name of ["anna", "ben"]) {
    await tab.evaluate(
      async ([named, id]) => {
        const db = page.open(page.form, { name: named, token: named });
        const row = await db.item.get(id);
        if (row === null) throw new Error("no row");
        await db.item.update(id, {
          status: named,
          rank: named.length,
          crew: { increment: 1 },
          big: BigInt(named.length),
        });
        await db.item.update(id, { tags: { add: [named], remove: ["a"] }, seen: { add: [named] }, weight: 1.5 });
        await db.item.update(id, { inspected_on: "2026-03-01", closed_on: "2026-06-01", due: null, cost: "4.25" });
        await db.item.update(id, { notes: `${named} ${row.notes}`, remark: `${named} ${row.remark}`, grade: named });
        await db.item.update(id, { photo: Uint8Array.of(named.length), settings: { by: named }, level: named.length });
        await db.item.update(id, { config: { a: { b: [1, 2] }, [named]: true }, open: named === "anna" });
        await db.transaction(async (tables) => {
          await tables.item.put({ id: `of ${named}`, project_id: "1", status: named, crew: 1 });
          await tables.item.update(`of ${named}`, { crew: { increment: 2 } });
        }, "two in one");
        db.close();
      },
      [name, key] as const,
    );
  }
  for (const name of ["anna", "ben", "anna"]) expect((await sync(tab, name)).ok).toBe(true);
  await at.python.sync();
  for (const name of ["anna", "ben"]) expect((await sync(tab, name)).ok).toBe(true);
  await at.python.sync();
  expect(await at.python.verify()).toBe(true);
  const [one, other] = [await items(tab, "anna"), await items(tab, "ben")];
  expect(one).toEqual(other);
  expect(one).toHaveLength(4);
  const [row] = (await at.python.execute("select * from item where id = ?", key)) as [Record<string, string>];
  const same = one.find((item) => (item as { id: string }).id === key) as Record<string, unknown>;
  for (const column of ["status", "rank", "crew", "notes", "remark", "cost", "inspected_on", "closed_on", "grade"]) {
    expect([column, same[column]]).toEqual([column, row[column]]);
  }
  expect(same).toMatchObject({ crew: 16, inspected_on: "2026-03-01", closed_on: "2026-07-01" });
  expect(same["tags"]).toEqual(["anna", "b", "ben", "p"]);
  expect(String(same["notes"])).toMatch(/^(anna ben|ben anna) roof 😀 python$/);
});

test("a refusal takes back what was shown, and stays readable", async () => {
  await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "anna", token: "anna" });
    await db.item.put({ id: "forbidden", project_id: "2", status: "mine" });
    db.close();
  });
  expect(await items(tab, "anna")).toHaveLength(5);
  expect(await sync(tab, "anna")).toEqual({ pushed: 0, refused: 1, ok: true, codes: ["forbidden_space"] });
  expect(await items(tab, "anna")).toHaveLength(4);
  const refused = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "anna", token: "anna" });
    const [found, waiting] = [await db.refused(), await db.pending()];
    db.close();
    return [found.map(({ code, key }) => [code, key]), waiting];
  });
  expect(refused).toEqual([[["forbidden_space", "forbidden"]], []]);
});

test("a deletion elsewhere takes a row away; an edit that it had not seen brings it back whole", async () => {
  await at.python.execute("delete from item where id = 'of ben'");
  await at.python.execute("delete from item where id = 'of anna'");
  await at.python.sync();
  await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "ben", token: "ben" });
    await db.item.update("of ben", { status: "kept" });
    db.close();
  });
  for (const name of ["ben", "anna"]) expect((await sync(tab, name)).ok).toBe(true);
  const rows = (await items(tab, "anna")) as { id: string; status: string; crew: number }[];
  expect(rows).toEqual(await items(tab, "ben"));
  expect(rows.map(({ id }) => id)).not.toContain("of anna");
  expect(rows.find(({ id }) => id === "of ben")).toMatchObject({ status: "kept", crew: 3 });
});

test("the hub cannot be reached: nothing is lost, and everything goes when it is back", async () => {
  at.site.online = false;
  const code = await tab.evaluate(async () => {
    const db = page.open(page.form, { name: "ben", token: "ben" });
    for (let i = 0; i < 20; i++) await db.item.put({ id: `offline ${i}`, project_id: "1", rank: i });
    const failed = await db.sync().catch((error: unknown) => (error as { code: string }).code);
    db.close();
    return failed;
  });
  at.site.online = true;
  expect(code).toBe("network");
  expect(await sync(tab, "ben")).toMatchObject({ pushed: 20, ok: true });
});
