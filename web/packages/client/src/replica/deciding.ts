// Deciding conflicts on a device: the row and the conflict are written in one transaction, online or not.
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import { chosen, type Conflict, conflictOf, decided, losingSide } from "../protocol/conflicts";
import { textOf } from "../protocol/members";
import { appValueOf } from "../schema/app_values";
import { tableOf } from "../schema/compile";
import { keyValues } from "../schema/key";
import type { Condition } from "./select";
import { select } from "./select";
import { rowName, type UserTable } from "./tables";
import type { Work } from "./work";
import { deviceClock, isAlive, type Writer } from "./writing";

const INBOX = "holdfast_conflict";

/** All conflicts, oldest first, those that wait for a decision (`open`), or those that do not. */
export async function conflicts(work: Work, open: boolean | null): Promise<Conflict[]> {
  const user = work.tables.get(INBOX);
  const column = user.table.cells[user.table.slots.get("state") ?? 0];
  const states = open === true ? ["open"] : ["auto", "resolved"];
  const conditions = open === null || column === undefined ? [] : [{ column, in: states } satisfies Condition];
  const found = await select(work, user, { conditions, order: [], limit: Infinity, offset: 0 });
  return found.map(({ key, cells }) => conflictOf(rowValues(user, key, cells), work.state.device));
}

/** A conflict as the database holds it now. Throws `conflict_unknown`. */
export async function conflict(work: Work, id: string): Promise<Conflict> {
  const known = await work.row(rowName(INBOX, id));
  const { shown, user } = known;
  if (shown !== null && isAlive(shown)) return conflictOf(rowValues(user, id, shown.values), work.state.device);
  throw new HoldfastError("conflict_unknown", `this device holds no conflict ${JSON.stringify(id)}`, { conflict: id });
}

/** Decide: "mine", "theirs", or a value for the column. Throws `forbidden_space`, and what `decided` throws. */
export async function resolve(writer: Writer, id: string, choice: unknown): Promise<Conflict> {
  const { work } = writer;
  const found = await conflict(work, id);
  const { access = "" } = (await work.spaces()).get(found.space) ?? {};
  if (access !== "rw") {
    throw new HoldfastError("forbidden_space", `this device may not write in ${found.space}`, { space: found.space });
  }
  const user = work.tables.get(tableOf(work.tables.schema, found.table).name);
  const { shown } = await work.row(rowName(found.table, found.key));
  const values = shown !== null && isAlive(shown) ? rowValues(user, found.key, shown.values) : null;
  const { result, effect, values: cells } = decided(work.tables.schema, found, chosen(choice), values);
  if (effect === "delete") await writer.delete(user, found.key);
  if (effect === "update") await writer.update(user, found.key, given(user, cells));
  if (effect === "insert") await writer.put(user, { ...given(user, keysOf(user, found.key)), ...given(user, cells) });
  await writer.update(work.tables.get(INBOX), id, {
    state: "resolved",
    result: textOf(result),
    resolved_by: work.state.user,
    resolved_at: deviceClock() + work.state.clockOffset,
  });
  return conflict(work, id);
}

/** Bring back the value that lost. */
export async function restore(writer: Writer, id: string): Promise<Conflict> {
  return resolve(writer, id, losingSide(await conflict(writer.work, id)));
}

function rowValues(user: UserTable, key: string, cells: readonly Wire[]): Record<string, Wire> {
  const keys = keyValues(user.table, key);
  return Object.fromEntries(user.table.columns.map((column) => [column.name, user.valueIn(column, keys, cells)]));
}

function keysOf(user: UserTable, key: string): Record<string, Wire> {
  const values = keyValues(user.table, key);
  return Object.fromEntries(user.table.key.map(({ name }, place) => [name, values[place] ?? null]));
}

/** Wire values as a writer takes them. */
function given(user: UserTable, values: Readonly<Record<string, Wire>>): Record<string, unknown> {
  const entries = user.table.columns.filter(({ name }) => Object.hasOwn(values, name));
  return Object.fromEntries(
    entries.map(({ name, type, element }) => [name, appValueOf(type, values[name] ?? null, element)]),
  );
}
