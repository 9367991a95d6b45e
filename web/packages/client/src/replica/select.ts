// Queries: which index serves one, where its rows are, and what of them is wanted.
import type { Wire } from "../kernel/column";
import { compare, same } from "../kernel/values";
import type { Column } from "../schema/compile";
import { keyValues } from "../schema/key";
import type { Entries, Place } from "./directory";
import { entryOf, LAST, textOf } from "./entries";
import type { RowRecord } from "./file";
import { answer } from "./idb";
import { nameParts, type RowName, type UserTable } from "./tables";
import { entryIn, type Work } from "./work";
import { isAlive } from "./writing";

/** What a column must be: one of the values of `in`, or between the others; each in wire form. */
export interface Condition {
  readonly column: Column;
  readonly in?: readonly Wire[];
  readonly from?: Wire;
  readonly above?: Wire;
  readonly to?: Wire;
  readonly below?: Wire;
}

export interface Selection {
  readonly conditions: readonly Condition[];
  readonly order: readonly { readonly column: Column; readonly down: boolean }[];
  readonly limit: number;
  readonly offset: number;
}

/** A row that was found, with its cells by slot. */
export interface Found {
  readonly key: string;
  readonly cells: readonly Wire[];
}

/** The entries between two texts of one index, the first one included; `rest` is what they do not say. */
interface Plan extends Entries {
  readonly rest: readonly Condition[];
  readonly ordered: boolean;
}

/** A row that may be wanted: where it is, or what it is. */
interface Candidate {
  readonly entry: string;
  readonly key: string;
  readonly place: Place | null;
  readonly cells: readonly Wire[];
}

/** What IndexedDB takes as a number of records. */
const MOST_LIMITED = 2 ** 31;

/** The rows that are wanted, in their order; without any order by key. */
export async function select(work: Work, user: UserTable, wanted: Selection): Promise<Found[]> {
  const plan = planOf(user, wanted);
  const isWhole = plan.rest.length === 0 && plan.ordered;
  const end = wanted.offset + wanted.limit;
  const candidates = await candidatesOf(work, user, plan, isWhole ? end : Infinity);
  candidates.sort((a, b) => (a.entry < b.entry ? -1 : a.entry > b.entry ? 1 : 0));
  if (plan.ordered && plan.down) candidates.reverse();
  const found = await loaded(work, user, isWhole ? candidates.slice(wanted.offset, end) : candidates);
  if (isWhole) return found;
  const matching = found.filter((row) => plan.rest.every((condition) => holds(user, condition, row)));
  if (!plan.ordered) sort(user, matching, wanted);
  return matching.slice(wanted.offset, end);
}

/** How many rows are wanted. */
export async function count(work: Work, user: UserTable, wanted: Selection): Promise<number> {
  const plan = planOf(user, wanted);
  let size: number;
  if (plan.rest.length === 0 && work.changedRows().length === 0) {
    const range = rangeOf(user, plan);
    const records = range === null ? 0 : await answer(work.tx.objectStore("row").index("entries").count(range));
    size = records + work.directory.count(user.table.name, plan);
  } else {
    const found = await loaded(work, user, await candidatesOf(work, user, plan, Infinity));
    size = found.filter((row) => plan.rest.every((rest) => holds(user, rest, row))).length;
  }
  return Math.max(0, Math.min(size - wanted.offset, wanted.limit));
}

/** The index with which the fewest rows are looked at: most equal columns first, then a range, then the order. */
function planOf(user: UserTable, wanted: Selection): Plan {
  const plans = user.indexes.map((columns, index) => planWith(columns, index, wanted));
  const rank = (plan: Plan): number => (wanted.conditions.length - plan.rest.length) * 2 + Number(plan.ordered);
  return plans.reduce((best, plan) => (rank(plan) > rank(best) ? plan : best));
}

function planWith(columns: readonly Column[], index: number, wanted: Selection): Plan {
  const used: Condition[] = [];
  const equal: Wire[] = [];
  for (const column of columns) {
    const condition = wanted.conditions.find((one) => one.column === column && one.in?.length === 1);
    if (condition?.in === undefined) break;
    used.push(condition);
    equal.push(condition.in[0] ?? null);
  }
  const prefix = entryOf(columns, equal);
  const next = columns[equal.length];
  const range = wanted.conditions.find((one) => one.column === next && one.in === undefined);
  if (range !== undefined) used.push(range);
  const [lower, upper] = range === undefined ? [prefix, prefix + LAST] : boundsOf(prefix, range);
  const rest = wanted.conditions.filter((condition) => !used.includes(condition));
  const ordered = isOrdered(columns, equal.length, wanted, index);
  return { index, lower, upper, rest, ordered, down: wanted.order[0]?.down === true };
}

/** Whether the entries stand in the order that is wanted. */
function isOrdered(columns: readonly Column[], equal: number, wanted: Selection, index: number): boolean {
  if (wanted.order.length === 0) return index === 0;
  const down = wanted.order[0]?.down;
  return wanted.order.every((by, place) => by.down === down && by.column === columns[equal + place]);
}

function boundsOf(prefix: string, range: Condition): [string, string] {
  const { column, from, above, to, below } = range;
  // Null is no value: it is never within a range.
  let [lower, upper] = [`${prefix}\x02`, prefix + LAST];
  if (from !== undefined) lower = prefix + textOf(column, from);
  if (above !== undefined) lower = prefix + textOf(column, above) + LAST;
  if (to !== undefined) upper = prefix + textOf(column, to) + LAST;
  if (below !== undefined) upper = prefix + textOf(column, below);
  return [lower, upper];
}

/** The entries of a plan in the index of the database; null: there are none. */
function rangeOf(user: UserTable, { index, lower, upper }: Plan): IDBKeyRange | null {
  if (lower >= upper) return null;
  return IDBKeyRange.bound(entryIn(user, index, lower), entryIn(user, index, upper), false, true);
}

/** The rows of a plan, in no order: among them the first `most`. */
async function candidatesOf(work: Work, user: UserTable, plan: Plan, most: number): Promise<Candidate[]> {
  const { index, lower, upper, down } = plan;
  const range = rangeOf(user, plan);
  if (range === null) return [];
  const entries = work.tx.objectStore("row").index("entries");
  // Rows that this transaction has changed are looked at below, so that so many more are asked for.
  const wanted = most + work.changedRows().length;
  const isLimited = wanted < MOST_LIMITED && !down;
  const names = answer(isLimited ? entries.getAllKeys(range, wanted) : entries.getAllKeys(range));
  const records = (await answer(isLimited ? entries.getAll(range, wanted) : entries.getAll(range))) as RowRecord[];
  const changed = new Map(work.changedRows().map((known) => [known.name, known]));
  const found: Candidate[] = [];
  (await names).forEach((name, i) => {
    const record = records[i] as RowRecord;
    const cells = (record.shown ?? record.confirmed)?.values ?? [];
    if (!changed.has(name as RowName)) found.push(candidate(user, index, nameParts(name as RowName)[1], cells));
  });
  const gone = new Set(
    [...changed.values()].flatMap(({ place }) => (place === null ? [] : [`${place.chunk}.${place.at}`])),
  );
  for (const [entry, place] of work.directory.search(user.table.name, plan, wanted)) {
    if (!gone.has(`${place.chunk}.${place.at}`)) found.push({ entry, key: "", place, cells: [] });
  }
  for (const known of changed.values()) {
    if (known.user !== user || known.shown === null || !isAlive(known.shown)) continue;
    const own = candidate(user, index, known.key, known.shown.values);
    if (own.entry >= lower && own.entry < upper) found.push(own);
  }
  return found;
}

function candidate(user: UserTable, index: number, key: string, cells: readonly Wire[]): Candidate {
  const entry = user.entriesOf(keyValues(user.table, key), cells)[index] ?? "";
  return { entry, key, place: null, cells };
}

async function loaded(work: Work, user: UserTable, candidates: readonly Candidate[]): Promise<Found[]> {
  const found: Found[] = candidates.map(({ key, cells }) => ({ key, cells }));
  const numbers: number[] = [];
  const places: Place[] = [];
  candidates.forEach(({ place }, number) => {
    if (place === null) return;
    numbers.push(number);
    places.push(place);
  });
  await work.directory.each(work.tx, places, (number, image) => {
    found[numbers[number] as number] = { key: user.keyOf(image[2]), cells: user.cellsOf(image) };
  });
  return found;
}

function holds(user: UserTable, condition: Condition, row: Found): boolean {
  const { column } = condition;
  const value = user.valueIn(column, keyValues(user.table, row.key), row.cells);
  if (condition.in !== undefined) return condition.in.some((wanted) => same(wanted, value));
  if (value === null) return false;
  const order = (bound: Wire): number => compare(column.type, value, bound);
  return (
    (condition.from === undefined || order(condition.from) >= 0) &&
    (condition.above === undefined || order(condition.above) > 0) &&
    (condition.to === undefined || order(condition.to) <= 0) &&
    (condition.below === undefined || order(condition.below) < 0)
  );
}

function sort(user: UserTable, rows: Found[], wanted: Selection): void {
  const texts = new Map<Found, string[]>();
  for (const row of rows) {
    const key = keyValues(user.table, row.key);
    const own = wanted.order.map(({ column }) => textOf(column, user.valueIn(column, key, row.cells)));
    texts.set(row, [...own, entryOf(user.table.key, key)]);
  }
  rows.sort((a, b) => {
    const [left, right] = [texts.get(a) ?? [], texts.get(b) ?? []];
    const place = left.findIndex((text, i) => text !== right[i]);
    if (place < 0) return 0;
    const sign = wanted.order[place]?.down === true ? -1 : 1;
    return (left[place] as string) < (right[place] as string) ? -sign : sign;
  });
}
