// The order of sending: which transactions go into the next request, and in which order. Pure.
//
// Lower priority numbers go first; but a transaction goes after everything that it needs, so what it needs is drawn
// forward with it. (A depth-first topological sort: Tarjan, Edge-disjoint spanning trees and depth-first search, 1976.)
import { atOnce, DEFAULT, type Queue } from "../schema/queue";

/** A transaction that has no name. `size` in bytes; `held`: it must not go yet, nor what needs it. */
export interface Candidate {
  readonly txn: number;
  readonly queue: string;
  readonly size: number;
  readonly held: boolean;
}

/** `chosen` in the order of sending; `more`: others could go in a further request. */
export interface Choice {
  readonly chosen: number[];
  readonly more: boolean;
}

/** Which of them go next. `needs` maps a transaction to those that must go before it. */
export interface Waiting {
  readonly candidates: readonly Candidate[];
  readonly needs: ReadonlyMap<number, ReadonlySet<number>>;
  readonly queues: ReadonlyMap<string, Queue>;
}

/** Up to `count` transactions of together about `size` bytes (at least one). */
export function choose(waiting: Waiting, count: number, size: number): Choice {
  return new Chooser(waiting, count, size).run();
}

class Chooser {
  private readonly byTxn: ReadonlyMap<number, Candidate>;
  private readonly chosen = new Set<number>();
  private readonly blocked = new Set<number>();
  private readonly ofQueue = new Map<string, number>();
  private more = false;

  constructor(
    private readonly waiting: Waiting,
    private readonly count: number,
    private room: number,
  ) {
    this.byTxn = new Map(waiting.candidates.map((candidate) => [candidate.txn, candidate]));
  }

  run(): Choice {
    const order = [...this.waiting.candidates].sort(
      (a, b) => this.queue(a).priority - this.queue(b).priority || a.txn - b.txn,
    );
    for (const { txn } of order) if (!this.take(txn)) return { chosen: [...this.chosen], more: true };
    return { chosen: [...this.chosen], more: this.more };
  }

  private queue({ queue }: Candidate): Queue {
    return this.waiting.queues.get(queue) ?? DEFAULT;
  }

  /** Choose a transaction behind all that it needs. False when the request is full. */
  private take(txn: number): boolean {
    const stack = [txn];
    for (let current = stack.at(-1); current !== undefined; current = stack.at(-1)) {
      if (this.chosen.has(current) || this.blocked.has(current)) {
        stack.pop();
        continue;
      }
      const waits = [...(this.waiting.needs.get(current) ?? [])].filter((need) => this.byTxn.has(need));
      if (waits.some((need) => this.blocked.has(need))) {
        this.blocked.add(current);
        continue;
      }
      const open = waits.filter((need) => !this.chosen.has(need)).sort((a, b) => b - a);
      if (open.length > 0) stack.push(...open);
      else if (!this.place(this.byTxn.get(current) as Candidate)) return false;
    }
    return true;
  }

  /** Put a transaction into the request, or note that it cannot go. False when the request is full. */
  private place(candidate: Candidate): boolean {
    const { txn, queue, size, held } = candidate;
    const limit = atOnce(this.queue(candidate));
    const isFull = limit !== null && (this.ofQueue.get(queue) ?? 0) >= limit;
    if (held || isFull) {
      this.blocked.add(txn);
      this.more ||= !held;
      return true;
    }
    if (this.chosen.size > 0 && (size > this.room || this.chosen.size >= this.count)) return false;
    this.chosen.add(txn);
    this.room -= size;
    this.ofQueue.set(queue, (this.ofQueue.get(queue) ?? 0) + 1);
    return true;
  }
}
