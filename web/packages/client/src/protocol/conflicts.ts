// A conflict as people read it, from its row in `holdfast_conflict`, and what a decision about it does to its row
// (spec/merge.md, section 8). Twin of Python's protocol/conflicts.py.
import { HoldfastError } from "../errors";
import { EPOCH_MS } from "../kernel/clock";
import type { Wire } from "../kernel/column";
import { InvalidValue, membersOf, same } from "../kernel/values";
import { wireOf } from "../schema/app_values";
import { type Column, type Schema, type Table, tableOf } from "../schema/compile";
import { parse } from "./json";
import { ABSENT, alike, END, member, type Member, split, stepsOf, withMember } from "./members";

/** The rule of conflicts about a member of a JSON document. */
const JSON_RULE = "json";

type Side = "mine" | "theirs";

/** Who wrote a value, on which device (empty: another program at the hub), and when. */
export interface ConflictWriter {
  readonly user: string;
  readonly device: string;
  readonly at: Date | null;
}

/**
 * Two writes, neither of which had seen the other.
 *
 * `mine` is the value of this device or, if it wrote neither, of the writer that lost; `theirs` the other one, both in
 * wire form. `base` is what the first of the two writers had seen, if `hasBase`. `column` is empty when a deletion met an
 * edit: the values are then objects column -> value, or null for the deletion. `winner` says which of them the row
 * shows: "mine", "theirs" or "merged" (a function of the application made a value of both). `state` is "auto" (decided
 * by `rule`), "open" (somebody has to decide) or "resolved" (somebody did: `resolvedBy`, `resolvedAt`); `result` is what
 * was decided. `path` is the JSON pointer of a member of a document, `deleted` the side on which it is gone.
 */
export interface Conflict {
  readonly id: string;
  readonly table: string;
  readonly key: string;
  readonly column: string;
  readonly base: Wire;
  readonly hasBase: boolean;
  readonly mine: Wire;
  readonly theirs: Wire;
  readonly rule: string;
  readonly winner: string;
  readonly state: "auto" | "open" | "resolved";
  readonly mineBy: ConflictWriter;
  readonly theirsBy: ConflictWriter;
  readonly result: Wire;
  readonly resolvedBy: string | null;
  readonly resolvedAt: Date | null;
  readonly error: string;
  readonly space: string;
  readonly path: string;
  readonly deleted: "" | Side;
}

/** A conflict as `device` sees it, from the columns of its row. */
export function conflictOf(row: Readonly<Record<string, Wire>>, device: string): Conflict {
  const text = (name: string): string => textIn(row, name);
  const sides: [Side, Side] = ["mine", "theirs"];
  const devices = [text("mine_device"), text("theirs_device")];
  let winner = text("winner");
  const asksSecond = device !== devices[0] && device === devices[1];
  if (asksSecond || (!devices.includes(device) && winner === "mine")) {
    sides.reverse();
    winner = winner === "mine" ? "theirs" : winner === "theirs" ? "mine" : winner;
  }
  const [mine, theirs] = sides;
  const [column, path] = split(text("column_name"));
  const gone = row[mine] === null ? "mine" : row[theirs] === null ? "theirs" : "";
  return {
    ...{ id: text("id"), table: text("table_name"), key: text("row_key"), column, path, space: text("space") },
    ...{ base: valueOf(row["base"]), hasBase: row["base"] !== null, rule: text("rule"), winner, error: text("error") },
    ...{ mine: valueOf(row[mine]), theirs: valueOf(row[theirs]), mineBy: by(row, mine), theirsBy: by(row, theirs) },
    state: text("state") as Conflict["state"],
    result: valueOf(row["result"]),
    resolvedBy: (row["resolved_by"] ?? null) as string | null,
    resolvedAt: moment(row["resolved_at"]),
    deleted: text("rule") === JSON_RULE ? gone : "",
  };
}

/**
 * Whether somebody has to look at a conflict: it waits for a decision, or a value of this device lost and nobody has
 * resolved that.
 */
export function isUnsettled(conflict: Conflict, device: string): boolean {
  if (conflict.state !== "auto") return conflict.state === "open";
  const loser = conflict.winner === "mine" ? conflict.theirsBy : conflict.winner === "theirs" ? conflict.mineBy : null;
  return loser?.device === device;
}

function textIn(row: Readonly<Record<string, Wire>>, name: string): string {
  const value = row[name];
  return typeof value === "string" ? value : "";
}

function valueOf(text: Wire | undefined): Wire {
  return typeof text === "string" ? parse(text) : null;
}

function by(row: Readonly<Record<string, Wire>>, side: Side): ConflictWriter {
  const text = (name: string): string => textIn(row, `${side}_${name}`);
  return { user: text("user"), device: text("device"), at: moment(row[`${side}_at`]) };
}

function moment(milliseconds: Wire | undefined): Date | null {
  return typeof milliseconds === "number" ? new Date(milliseconds + EPOCH_MS) : null;
}

/** One of the two values, or another one, as the application or the wire has it. */
export type Choice = Side | { readonly value: unknown };

/**
 * What a choice comes to: the result that the conflict shows, and what makes it true: nothing, an update of the cell, a
 * delete or an insert of the row with these wire values by column.
 */
export interface Decided {
  readonly result: Member;
  readonly effect: "none" | "update" | "delete" | "insert";
  readonly values: Readonly<Record<string, Wire>>;
}

/** A choice as applications give it: "mine", "theirs", or a value. */
export function chosen(choice: unknown): Choice {
  return choice === "mine" || choice === "theirs" ? choice : { value: choice };
}

/**
 * What a choice does. `shown` holds the wire values of the row as it stands; null when the row is not there. Throws
 * `conflict_gone` when the row of a column is not there, `conflict_choice`, or what the column refuses.
 */
export function decided(
  schema: Schema,
  conflict: Conflict,
  choice: Choice,
  shown: Readonly<Record<string, Wire>> | null,
): Decided {
  const table = tableOf(schema, conflict.table);
  if (conflict.column === "") return aboutLife(table, conflict, choice, shown !== null);
  const column = columnOf(table, conflict.column);
  if (shown === null) {
    const says = `the row ${JSON.stringify(conflict.key)} of ${conflict.table} is not there; nothing can be written into it`;
    throw new HoldfastError("conflict_gone", says, { table: conflict.table, key: conflict.key });
  }
  const current = shown[column.name] ?? null;
  if (conflict.rule === JSON_RULE) return aboutMember(column, conflict, choice, current);
  const value = wanted(column, conflict, choice);
  if (same(current, value)) return nothing(value);
  return { result: value, effect: "update", values: { [column.name]: value } };
}

function nothing(result: Member): Decided {
  return { result, effect: "none", values: {} };
}

function columnOf(table: Table, name: string): Column {
  const found = table.columns.find((column) => column.name === name);
  if (found !== undefined) return found;
  throw new HoldfastError("unknown_column", `${table.name} has no column ${name}`, { column: name });
}

/** A member of a JSON document: everything else in the document stays as it is. */
function aboutMember(column: Column, conflict: Conflict, choice: Choice, shown: Wire): Decided {
  const { path, deleted } = conflict;
  let value: Member;
  if (typeof choice === "object") value = choice.value as Wire;
  else value = deleted === choice ? ABSENT : conflict[choice];
  if (alike(member(shown, path), value)) return nothing(value);
  const whole = withMember(shown, path, value);
  const isElement = stepsOf(path).some((step) => step === END || /^[0-9]+$/.test(step));
  if (whole === ABSENT || (isElement && isElsewhere(conflict, shown))) {
    const says = `what stood at ${path} of ${conflict.table}.${column.name} has moved or gone; write it anew`;
    throw new HoldfastError("conflict_gone", says, { table: conflict.table, key: conflict.key, path });
  }
  const accepted = taken(column, conflict, () => column.accept(whole));
  return { result: member(accepted, path), effect: "update", values: { [column.name]: accepted } };
}

/**
 * Whether an element has another place by now, as far as one can tell: there stands neither of the two, nor what was
 * decided. What is put behind the end of an array has no place yet.
 */
function isElsewhere(conflict: Conflict, shown: Wire): boolean {
  if (stepsOf(conflict.path).at(-1) === END) return false;
  const there = member(shown, conflict.path);
  return ![conflict.mine, conflict.theirs, conflict.result].some((known) => alike(there, known));
}

/** Which value lost. Throws `conflict_choice` when neither did. */
export function losingSide({ winner, table, key }: Conflict): Side {
  if (winner !== "merged") return winner === "mine" ? "theirs" : "mine";
  throw new HoldfastError("conflict_choice", "neither value lost; use resolve() to choose one", { table, key });
}

function wanted(column: Column, conflict: Conflict, choice: Choice): Wire {
  if (typeof choice === "object") {
    return taken(column, conflict, () =>
      column.accept(choice.value === null ? null : wireOf(column.type, choice.value, column.element)),
    );
  }
  const side = conflict[choice];
  const edit = column.merge === "merge_text" ? membersOf(side) : undefined;
  return edit === undefined ? side : textOfEdit(conflict, edit["op"] as readonly Wire[]);
}

function taken(column: Column, conflict: Conflict, accept: () => Wire): Wire {
  try {
    return accept();
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw new HoldfastError(error.code, `${conflict.table}.${column.name}: ${error.message}`);
  }
}

/**
 * What an edit typed whose text nobody knows any more (spec/merge.md, section 12, apply, 3). One that also kept or
 * deleted something is no text of its own: a person has to say what shall stand.
 */
function textOfEdit({ table, key }: Conflict, parts: readonly Wire[]): string {
  if (parts.every((part) => typeof part === "string")) return parts.join("");
  const says = "this side is an edit of a text that is not kept; choose the other side, or give the text to stand";
  throw new HoldfastError("conflict_choice", says, { table, key });
}

function aboutLife(table: Table, conflict: Conflict, choice: Choice, there: boolean): Decided {
  const { key } = conflict;
  if (typeof choice === "object") {
    const says = 'a deletion met an edit: choose "mine" or "theirs"; the value of null is the deletion';
    throw new HoldfastError("conflict_choice", says, { table: table.name, key });
  }
  const edit = conflict[choice];
  if (edit === null) return { result: null, effect: there ? "delete" : "none", values: {} };
  if (there) return nothing({ alive: true });
  if (!conflict.hasBase) {
    const says = `what the row ${JSON.stringify(key)} of ${table.name} held is not known; write it anew`;
    throw new HoldfastError("conflict_gone", says, { table: table.name, key });
  }
  const image = { ...membersOf(conflict.base), ...plain(table, membersOf(edit) ?? {}) };
  const columns = table.cells.filter(({ name, form }) => Object.hasOwn(image, name) && form.read_only !== true);
  const values = Object.fromEntries(columns.map(({ name }) => [name, image[name] ?? null]));
  return { result: { alive: true }, effect: "insert", values };
}

/** The edited values; a change of a type that sends differences says nothing without the row it was made on. */
function plain(table: Table, edit: Readonly<Record<string, Wire>>): Record<string, Wire> {
  const kept: Record<string, Wire> = {};
  for (const [name, value] of Object.entries(edit)) {
    const column = columnOf(table, name);
    if (column.merge === "counter") continue;
    try {
      kept[name] = column.accept(value);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
    }
  }
  return kept;
}
