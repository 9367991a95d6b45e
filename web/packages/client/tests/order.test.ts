// What goes out first, and what has to wait for what: the cases of Python's tests of order and dependencies.
import { describe, expect, test } from "vitest";
import { dependants, needs } from "../src/replica/dependencies";
import { type Candidate, choose } from "../src/replica/order";
import { DEFAULT, mostUrgent, type Queue, queueOf } from "../src/schema/queue";

const queue = (name: string, options: Partial<Queue>): Queue => ({ ...DEFAULT, name, ...options });
const QUEUES = new Map(
  [DEFAULT, queue("urgent", { priority: -1 }), queue("photo", { priority: 9, batchSize: 2, maxConcurrent: 3 })].map(
    (one) => [one.name, one],
  ),
);

function waiting(queues: readonly string[], edges: Readonly<Record<number, readonly number[]>> = {}, held = 0) {
  const candidates = queues.map((name, i): Candidate => ({ txn: i + 1, queue: name, size: 10, held: i + 1 === held }));
  const sets = Object.entries(edges).map(([txn, earlier]) => [Number(txn), new Set(earlier)] as const);
  return { candidates, needs: new Map(sets), queues: QUEUES };
}

describe("order", () => {
  test("lower priorities first, each behind what it needs", () => {
    const given = waiting(["default", "photo", "urgent", "default"], { 3: [1] });
    expect(choose(given, 100, 1000)).toEqual({ chosen: [1, 3, 4, 2], more: false });
  });

  test("a class has no more in one request than it may", () => {
    const given = waiting(["photo", "photo", "photo", "default"]);
    expect(choose(given, 100, 1000)).toEqual({ chosen: [4, 1, 2], more: true });
  });

  test("what is held holds back what needs it, and nothing else", () => {
    const given = waiting(["default", "default", "default"], { 2: [1] }, 1);
    expect(choose(given, 100, 1000)).toEqual({ chosen: [3], more: false });
  });

  test("a request is full by number or by bytes, but takes one in any case", () => {
    const given = waiting(["default", "default", "default"]);
    expect(choose(given, 2, 1000)).toEqual({ chosen: [1, 2], more: true });
    expect(choose(given, 100, 5)).toEqual({ chosen: [1], more: true });
  });

  test("a transaction over several tables has the most urgent class", () => {
    const form = { batch_size: 5, direction: "both", max_concurrent: null, name: "form", priority: 1, retries: 3 };
    const declared = queueOf({ queue: form } as unknown as Parameters<typeof queueOf>[0]);
    expect(declared).toEqual(queue("form", { priority: 1, batchSize: 5, retries: 3 }));
    expect(mostUrgent([declared, DEFAULT]).name).toBe("default");
    expect(mostUrgent([]).name).toBe("default");
  });
});

describe("dependencies", () => {
  const record = (txn: number, rows: string[], uses: string[] = [], values: string[] = []) => ({
    txn,
    rows,
    uses,
    values,
  });

  test("the row, what it refers to, and the unique values that are freed and taken", () => {
    const edges = needs([
      record(1, ["parent"]),
      record(2, ["child"], ["parent"], ["serial 1"]),
      record(3, ["other"], ["parent"]),
      record(4, ["child"], [], ["serial 1", "serial 2"]),
      record(5, ["third"], [], ["serial 1"]),
      record(6, ["parent"]),
    ]);
    expect([...edges].map(([txn, earlier]) => [txn, [...earlier].sort()])).toEqual([
      [2, [1]],
      [3, [1]],
      [4, [2]],
      [5, [4]],
      [6, [1, 2, 3]],
    ]);
    expect(dependants(edges, [2])).toEqual([4, 5, 6]);
    expect(dependants(edges, [6])).toEqual([]);
  });
});
