// Devices that stay connected: one tab of several syncs, over a live channel; another one takes over when it is gone.
import type { Page as Tab } from "playwright-core";
import { expect, test, vi } from "vitest";
import type { Page } from "./page";
import { world } from "./world";

declare const page: Page;

const HANGS = 180_000;

declare const db: ReturnType<Page["openTest"]>;

/** A tab in which the device is open and connected, as `db`. */
async function connected(name: string, token: string): Promise<Tab> {
  const tab = await at.browser.tab(at.site);
  await tab.evaluate(
    ([named, given]) => {
      const opened = page.openTest(named, given);
      opened.connect();
      Object.assign(globalThis, { db: opened });
    },
    [name, token] as const,
  );
  return tab;
}

/** Until it holds, however long that takes on a busy machine: the limit is only that of a test that hangs. */
async function waitFor(tab: Tab, holds: () => Promise<boolean>): Promise<void> {
  await vi.waitUntil(() => tab.evaluate(holds), { interval: 50, timeout: HANGS });
}

const at = world({ hub: true });

test("what one device writes comes to the other by itself; one tab of a device syncs, another one takes over", async () => {
  const first = await connected("shared", "anna");
  await waitFor(first, async () => (await db.status()).channel === "websocket");
  const second = await connected("shared", "anna");
  const other = await connected("other", "ben");
  await waitFor(other, async () => (await db.status()).state === "connected");
  await second.evaluate(async () => db.item.put({ id: "live", project_id: "1", status: "first" }));
  await waitFor(other, async () => (await db.item.get("live"))?.status === "first");
  expect([
    await first.evaluate(async () => (await db.status()).leader),
    await second.evaluate(async () => (await db.status()).leader),
  ]).toEqual([true, false]);
  await waitFor(second, async () => (await db.status()).state === "connected");

  await first.goto("chrome://crash").catch(() => undefined);
  await waitFor(second, async () => (await db.status()).leader);
  await other.evaluate(async () => db.item.update("live", { status: "second" }));
  await waitFor(second, async () => (await db.item.get("live"))?.status === "second");
  await first.close();

  at.site.online = false;
  at.site.cut();
  await waitFor(second, async () => (await db.status()).state === "offline");
  await second.evaluate(async () => db.item.update("live", { status: "third", crew: { increment: 1 } }));
  at.site.online = true;
  // Both wait for their next attempt, or poll because the channel did not come about: whoever sits before them asks.
  await waitFor(second, async () => {
    db.poke();
    return (await db.status()).pendingCount === 0;
  });
  await waitFor(other, async () => {
    db.poke();
    return (await db.item.get("live"))?.status === "third";
  });
  expect(await other.evaluate(async () => (await db.verify()).ok)).toBe(true);
  expect(await second.evaluate(async () => (await db.verify()).ok)).toBe(true);
  await Promise.all([second.close(), other.close()]);
});

test(
  "a leader that is frozen loses its place, and does no harm when it goes on",
  async () => {
    const [frozen, next] = [await connected("frozen", "anna"), await connected("frozen", "anna")];
    await waitFor(frozen, async () => (await db.status()).leader);
    const session = await at.browser.context?.newCDPSession(frozen);
    // A thread that is stopped is what freezing means for the others: it says nothing, and holds its locks.
    await session?.send("Debugger.enable");
    await session?.send("Debugger.pause");
    const paused = frozen.evaluate(() => 1);
    await waitFor(next, async () => (await db.status()).leader);
    await next.evaluate(async () => db.item.put({ id: "after", project_id: "1" }));
    await waitFor(next, async () => (await db.status()).pendingCount === 0);
    await session?.send("Debugger.resume");
    await paused;
    await waitFor(frozen, async () => !(await db.status()).leader);
    expect(await next.evaluate(async () => (await db.verify()).ok)).toBe(true);
    await Promise.all([frozen.close(), next.close()]);
  },
  HANGS,
);
