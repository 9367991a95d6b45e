// Kernel values to and from the JSON of the vectors and of the driver's lines. Python: holdfast.testing.kernel_driver.
import type { Cell, Column, Table, Wire } from "../src/kernel/column";
import type { MergeName } from "../src/kernel/merges/index";
import type { Base, Cells, Conflict, Op, Outcome, Row } from "../src/kernel/row";
import { decodeStamps, encodeStamps } from "../src/kernel/stamps";
import { check, type Members } from "../src/kernel/values";
import type { Image, Line } from "../src/protocol/messages";

/** The input of a call: what the vectors and the other language write is trusted to have its shape. */
export type Form = Members;

export function textIn(form: Form, name: string): string {
  return form[name] as string;
}

export function numberIn(form: Form, name: string): number {
  return form[name] as number;
}

export function formIn(form: Form, name: string): Form {
  return form[name] as Form;
}

export function columnFrom(form: Form): Column {
  const [type, element] = [textIn(form, "type"), textIn(form, "element")];
  return {
    type,
    element,
    default: form["default"],
    merge: textIn(form, "merge") as MergeName,
    accept: (value) => (value === null && form["nullable"] === true ? null : check(type, value, element)),
  };
}

export function tableFrom(form: Form): Table {
  return {
    cells: (form["columns"] as unknown as Form[]).map(columnFrom),
    onDelete: textIn(form, "on_delete") as Table["onDelete"],
  };
}

/** The table of an image call: only its cells matter. */
export function keyedTableFrom(form: Form): Table {
  return { cells: (form["columns"] as unknown as Form[]).map(columnFrom), onDelete: "keep_edits" };
}

/** An image as it is sent, where states and slots may be absent. */
export function imageFrom(form: Form): Image {
  const [table, life, values, stamps, states = {}, slots = null] = form["image"] as unknown as Partial<Image>;
  return [table ?? "", life ?? 0, values ?? [], stamps ?? "", states, slots];
}

/** An image as an encoder writes it. */
export function imageForm(image: Image): Wire {
  return image.slice(0, itemsSent(image));
}

export function cellFrom(form: Form): Cell {
  return { value: form["value"] ?? null, stamp: form["stamp"] as string | null, state: form["state"] ?? null };
}

export function cellForm(cell: Cell): Wire {
  return { value: cell.value, stamp: cell.stamp, state: cell.state };
}

export function rowFrom(form: Form): Row {
  return {
    life: numberIn(form, "life"),
    values: form["values"] as Wire[],
    stamps: decodeStamps(textIn(form, "stamps")),
    states: bySlot(formIn(form, "states")),
  };
}

export function rowForm(row: Row): Wire {
  const { life, values, states } = row;
  return { life, values, stamps: encodeStamps(row.stamps), states: cellsForm(states) };
}

export function opFrom(form: Form): Op {
  const base = form["base"] as string | Form;
  return {
    kind: textIn(form, "kind") as Op["kind"],
    key: textIn(form, "key"),
    stamp: textIn(form, "stamp"),
    life: numberIn(form, "life"),
    changes: bySlot(formIn(form, "changes")),
    base: typeof base === "string" ? decodeStamps(base) : (bySlot(base) as Base),
    named: "named" in form ? textIn(form, "named") : "",
  };
}

export function outcomeForm({ row, status, conflicts }: Outcome): Wire {
  return { row: row && rowForm(row), status, conflicts: conflicts.map(conflictForm) };
}

function conflictForm(conflict: Conflict): Wire {
  const { slot, rule, mine, theirs, winner } = conflict;
  return slot === null ? [slot, rule, cellsForm(mine), cellsForm(theirs), winner] : [slot, rule, mine, theirs, winner];
}

function bySlot(form: Form): Map<number, Wire> {
  return new Map(Object.entries(form).map(([slot, value]) => [Number(slot), value]));
}

function cellsForm(cells: Cells): Wire {
  return cells && Object.fromEntries(cells);
}

/** The members of a response that are left out when they are empty. */
const OPTIONAL = new Set(
  (
    "ahead behind through revoked reset layout results code message table key column details history cursors digests " +
    "totals compared tags buckets rows images unknown blocks counts restored unrestored live keys image"
  ).split(" "),
);

/** A line of a response as an encoder writes it: what is empty is left out, and a row without states has none. */
export function lineForm(line: Line): Wire {
  if (line.kind === "page") {
    const { space, cursor, rows, loaded } = line.page;
    const images = rows.map(imageForm);
    return { page: { space, cursor, rows: images, ...(loaded === null ? {} : { loaded }) } };
  }
  if (line.kind === "footer") {
    const said = Object.entries(line.footer.compared).map(([space, compared]) => [
      space,
      compact({ ...compared, images: compared.images.map(imageForm) }),
    ]);
    return { footer: compact({ ...line.footer, compared: Object.fromEntries(said) as Members }) };
  }
  const { results, layout, ...rest } = line.header;
  const written = results.map((result) => compact({ ...result }));
  return { header: compact({ ...rest, layout: layout && compact({ ...layout }), results: written }) };
}

/** How many items of an image are sent: slots only of a patch, states only where there are some. */
function itemsSent([, , , , states, slots]: Image): number {
  if (slots !== null) return 6;
  return Object.keys(states).length > 0 ? 5 : 4;
}

function compact(members: Members): Members {
  return Object.fromEntries(Object.entries(members).filter(([name, value]) => !OPTIONAL.has(name) || !isEmpty(value)));
}

function isEmpty(value: Wire): boolean {
  return (
    value === null ||
    value === "" ||
    value === 0 ||
    value === false ||
    (typeof value === "object" && Object.keys(value).length === 0)
  );
}
