// Classes of the upload queue: in which order, how many at once and how often the transactions of a table are sent.
import type { Wire } from "../kernel/column";
import type { TableForm } from "./form";

/** One class of transactions, as Python declares it (docs/howto/steer-the-queue.md). Lower priorities go first. */
export interface Queue {
  readonly name: string;
  readonly priority: number;
  readonly direction: "both" | "upload" | "upload_first";
  readonly batchSize: number | null;
  readonly maxConcurrent: number | null;
  readonly retries: number | null;
}

/** The class of tables that declare none. */
export const DEFAULT: Queue = {
  name: "default", priority: 0, direction: "both", batchSize: null, maxConcurrent: null, retries: null,
}; // prettier-ignore

/** The class of a table. */
export function queueOf({ queue }: TableForm): Queue {
  if (queue === undefined) return DEFAULT;
  const number = (value: Wire | undefined): number | null => (typeof value === "number" ? value : null);
  return {
    name: queue["name"] as string,
    priority: number(queue["priority"]) ?? 0,
    direction: queue["direction"] as Queue["direction"],
    batchSize: number(queue["batch_size"]),
    maxConcurrent: number(queue["max_concurrent"]),
    retries: number(queue["retries"]),
  };
}

/** How many transactions of the class one request carries; null: no limit of its own. */
export function atOnce({ batchSize, maxConcurrent }: Queue): number | null {
  const limits = [batchSize, maxConcurrent].filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

/** The most urgent of several classes: a transaction over several tables has it. */
export function mostUrgent(queues: Iterable<Queue>): Queue {
  let found: Queue | null = null;
  for (const queue of queues) {
    const isFirst =
      found === null ||
      queue.priority < found.priority ||
      (queue.priority === found.priority && queue.name < found.name);
    if (isFirst) found = queue;
  }
  return found ?? DEFAULT;
}
