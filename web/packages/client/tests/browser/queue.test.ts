// What people see of a device and may do with what waits, on a real hub: the queue, refusals, conflicts, presence, status.
import type { Page as Tab } from "playwright-core";
import { expect, test, vi } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;
declare const db: ReturnType<Page["openTest"]>;

const at = world({ hub: true });

/** A tab in which the device is open, as `db`. */
async function opened(name: string, token: string): Promise<Tab> {
  const tab = await at.browser.tab(at.site);
  await tab.evaluate(
    ([named, given]) => {
      Object.assign(globalThis, { db: page.openTest(named, given) });
    },
    [name, token] as const,
  );
  return tab;
}

test("what waits can be taken back, with what depends on it; what was refused is sent again or dropped", async () => {
  const tab = await opened("queue", "anna");
  const found = await tab.evaluate(async () => {
    const codes: unknown[] = [];
    const failed = (error: unknown): unknown => codes.push((error as { code: string }).code);
    await db.item.put({ id: "a", project_id: "1", status: "first" });
    await db.item.update("a", { status: "second" });
    await db.item.put({ id: "b", project_id: "1" });
    const waits = (await db.pending()).map(({ txn, state, queue, waitsFor }) => [txn, state, queue, waitsFor]);
    await db.cancel(1).catch(failed);
    await db.cancel(99).catch(failed);
    await db.drop(1).catch(failed);
    const taken = await db.cancel(1, { dependants: true });
    const left = await db.item.where().all();
    await db.item.put({ id: "c", project_id: "2", status: "not mine" });
    const before = await db.status();
    await db.sync();
    const refused = (await db.refused()).map(({ code, key, queue, operations }) => [
      code,
      key,
      queue,
      operations.length,
    ]);
    await db.retry(4);
    const again = [(await db.pending()).length, (await db.item.get("c"))?.status];
    await db.sync();
    const dropped = await db.drop(4);
    const after = await db.status();
    return { codes, waits, taken, left: left.map(({ id }) => id), before, refused, again, dropped, after };
  });
  expect(found).toMatchObject({
    waits: [
      [1, "pending", "default", []],
      [2, "pending", "default", [1]],
      [3, "pending", "default", []],
    ],
    codes: ["has_dependants", "transaction_unknown", "transaction_state"],
    taken: { cancelled: [1, 2], asked: [] },
    left: ["b"],
    before: { pendingCount: 2, hasSynced: false, inSync: false, state: "stopped", storage: { level: "ok" } },
    refused: [["forbidden_space", "c", "default", 1]],
    again: [1, "not mine"],
    dropped: { cancelled: [4], asked: [] },
    after: { pendingCount: 0, refusedCount: 0, hasSynced: true, inSync: true, user: "anna", uploadError: null },
  });
  expect(found.before.pendingBytes).toBeGreaterThan(100);
  await tab.close();
});

test("one that was sent is taken back at the hub, if it has no effect there yet; else it stays", async () => {
  const tab = await opened("asked", "anna");
  await tab.evaluate(async () => db.sync());
  at.site.online = false;
  // The name is on the disk, the request has reached nobody.
  const asked = await tab.evaluate(async () => {
    await db.item.put({ id: "gone", project_id: "1" });
    await db.sync().catch(() => undefined);
    const [waiting] = await db.pending();
    const { asked: sent } = await db.cancel(waiting?.txn ?? 0);
    const [withdrawn] = await db.pending();
    return [waiting?.state, sent.length, withdrawn?.withdrawn];
  });
  expect(asked).toEqual(["sending", 1, true]);
  at.site.online = true;
  const after = await tab.evaluate(async () => {
    const { refused } = await db.sync();
    const log = (await db.log(3)).map(({ trigger, error, complete }) => [trigger, error, complete]);
    return { refused, row: await db.item.get("gone"), left: (await db.pending()).length, log };
  });
  expect(after).toEqual({
    refused: [],
    row: null,
    left: 0,
    log: [
      ["more", "", true],
      ["sync", "", false],
      ["sync", "network", false],
    ],
  });
  await tab.close();
});

test("a conflict is decided offline, on any device; the answer reaches the others", async () => {
  const [anna, ben] = [await opened("of anna", "anna"), await opened("of ben", "ben")];
  await anna.evaluate(async () => {
    await db.item.put({ id: "met", project_id: "1", grade: "draft", status: "draft" });
    await db.sync();
  });
  await ben.evaluate(async () => {
    await db.sync();
    await db.item.update("met", { grade: "his", status: "his" });
    await db.sync();
  });
  const arrived = await anna.evaluate(async () => {
    await db.item.update("met", { grade: "hers", status: "hers" });
    const { conflicts } = await db.sync();
    const [review] = await db.conflicts({ open: true });
    return {
      told: conflicts.length,
      all: (await db.conflicts()).length,
      review,
      count: (await db.status()).conflictCount,
    };
  });
  expect(arrived).toMatchObject({ told: 2, all: 2, count: 1 });
  expect(arrived.review).toMatchObject({
    column: "grade",
    mine: "hers",
    theirs: "his",
    base: "draft",
    winner: "theirs",
  });
  at.site.online = false;
  const decided = await anna.evaluate(async () => {
    const [review] = await db.conflicts({ open: true });
    if (review === undefined) throw new Error("no conflict");
    const unknown = await db.resolve("nowhere", "mine").catch((error: unknown) => (error as { code: string }).code);
    const { state, result, resolvedBy } = await db.resolve(review, "mine");
    const [lost] = (await db.conflicts({ open: false })).filter(({ column }) => column === "status");
    const row = await db.item.get("met");
    const waiting = (await db.pending()).map(({ label, operations }) => [label, operations.length]);
    return { unknown, state, result, resolvedBy, winner: lost?.winner, row, waiting };
  });
  expect(decided).toMatchObject({
    ...{ unknown: "conflict_unknown", state: "resolved", result: "hers", resolvedBy: "anna", winner: "mine" },
    row: { grade: "hers", status: "hers" },
    waiting: [["resolve a conflict", 2]],
  });
  at.site.online = true;
  await anna.evaluate(async () => db.sync());
  const his = await ben.evaluate(async () => {
    await db.sync();
    const [lost] = await db.conflicts({ open: false }).then((all) => all.filter(({ column }) => column === "status"));
    const count = (await db.status()).conflictCount;
    await db.restore(lost?.id ?? "");
    await db.sync();
    return [lost?.winner, count, (await db.status()).conflictCount, await db.item.get("met"), (await db.verify()).ok];
  });
  expect(his).toMatchObject(["theirs", 1, 0, { grade: "hers", status: "his" }, true]);
  await Promise.all([anna.close(), ben.close()]);
});

test("who is here, also when another tab of the device syncs, and one that is closed goes", async () => {
  const [first, second, other] = [
    await opened("here", "anna"),
    await opened("here", "anna"),
    await opened("there", "ben"),
  ];
  for (const tab of [first, second, other]) {
    await tab.evaluate(() => {
      db.connect();
    });
  }
  await second.evaluate(() => {
    db.announce("project:1", { page: 7 });
  });
  await other.evaluate(() => {
    db.announce("project:1", "reading");
  });
  const seen = (tab: Tab): Promise<unknown[]> =>
    tab.evaluate(() => db.presence("project:1").map(({ user, data }) => [user, data]));
  const both = [
    ["anna", { page: 7 }],
    ["ben", "reading"],
  ];
  const sorted = async (tab: Tab): Promise<unknown> => (await seen(tab)).sort();
  await vi.waitFor(async () => {
    expect([await sorted(second), await sorted(other)]).toEqual([both, both]);
  }, 30_000);
  const tooLarge = await other.evaluate(() => {
    try {
      db.announce("project:1", "x".repeat(1100));
      return "taken";
    } catch (error) {
      return (error as { code: string }).code;
    }
  });
  expect(tooLarge).toBe("announcement_invalid");
  await second.close();
  await vi.waitFor(async () => {
    expect(await seen(other)).toEqual([["ben", "reading"]]);
  }, 30_000);
  await Promise.all([first.close(), other.close()]);
});

test("who subscribes is told of status and queue as they change, in every tab", async () => {
  const [first, second] = [await opened("told", "anna"), await opened("told", "anna")];
  await second.evaluate(() => {
    const told = { counts: [] as number[], states: [] as string[], queue: [] as number[] };
    db.onStatus(({ pendingCount, state }) => {
      told.counts.push(pendingCount);
      told.states.push(state);
    });
    db.onQueue(({ pending }) => told.queue.push(pending.length));
    Object.assign(globalThis, { told });
  });
  await first.evaluate(async () => {
    await db.item.put({ id: "told", project_id: "1" });
    db.connect();
    await db.waitForFirstSync();
  });
  const last = (): Promise<unknown> =>
    second.evaluate(() => {
      const { told } = globalThis as unknown as { told: Record<string, unknown[]> };
      return [told["counts"]?.at(-1), told["states"]?.at(-1), told["queue"]?.at(-1), told["queue"]?.includes(1)];
    });
  await vi.waitFor(async () => {
    expect(await last()).toEqual([0, "connected", 0, true]);
  }, 30_000);
  await Promise.all([first.close(), second.close()]);
});
