// Every call of the vectors by name, area.call: from the JSON of its input to the JSON of its output. The vector tests
// and the driver use the same table.
import * as causality from "../src/kernel/causality";
import * as clock from "../src/kernel/clock";
import type { Wire } from "../src/kernel/column";
import * as digest from "../src/kernel/digest";
import { BY_NAME } from "../src/kernel/merges/index";
import { restore } from "../src/kernel/restore";
import * as row from "../src/kernel/row";
import * as stamps from "../src/kernel/stamps";
import * as values from "../src/kernel/values";
import { HoldfastError } from "../src/errors";
import * as codec from "../src/protocol/codec";
import * as images from "../src/protocol/images";
import { parse } from "../src/protocol/json";
import { compileColumn } from "../src/schema/compile";
import type { ColumnForm } from "../src/schema/form";
import * as forms from "./forms";
import { type Form, formIn, numberIn, textIn } from "./forms";

type Call = (form: Form) => Wire;

const utf8 = new TextEncoder();

const VALUES: Record<string, Call> = {
  "values.check": (form) =>
    values.check(textIn(form, "type"), form["value"] ?? null, "element" in form ? textIn(form, "element") : ""),
  "values.canonical_json": (form) => values.canonicalJson(parse(textIn(form, "json"))),
  "values.same": (form) => values.same(form["a"] ?? null, form["b"] ?? null),
  "values.compare": (form) => values.compare(textIn(form, "type"), form["a"] ?? null, form["b"] ?? null),
};

const SCHEMA: Record<string, Call> = {
  "schema.accept": (form) => compileColumn(form["column"] as unknown as ColumnForm).accept(form["value"] ?? null),
};

const CLOCK: Record<string, Call> = {
  "clock.pack": (form) => clock.pack(numberIn(form, "ms"), numberIn(form, "counter")),
  "clock.unpack": (form) => clock.unpack(numberIn(form, "hlc")),
  "clock.wall": (form) => clock.wall(Number(form["ms"])),
  "clock.tick": (form) => clock.tick(numberIn(form, "last"), Number(form["ms"])),
  "clock.stamp": (form) => clock.stamp(numberIn(form, "hlc"), textIn(form, "origin")),
  "clock.after": (form) => clock.after(textIn(form, "stamp"), textIn(form, "origin")),
  "clock.hlc_of": (form) => clock.hlcOf(textIn(form, "stamp")),
  "clock.origin_of": (form) => clock.originOf(textIn(form, "stamp")),
  "clock.new_origin": (form) => clock.newOrigin(BigInt(form["bits"] as number | bigint)),
  "clock.is_stamp": (form) => clock.isStamp(textIn(form, "text")),
  "clock.is_origin": (form) => clock.isOrigin(textIn(form, "text")),
};

const CAUSALITY: Record<string, Call> = {
  "causality.compare": (form) => causality.compare(vectorIn(form, "a"), vectorIn(form, "b")),
  "causality.join": (form) => Object.fromEntries(causality.join(vectorIn(form, "a"), vectorIn(form, "b"))),
  "causality.increment": (form) =>
    Object.fromEntries(causality.increment(vectorIn(form, "vector"), textIn(form, "replica"))),
};

const ROWS: Record<string, Call> = {
  "stamps.encode": (form) => stamps.encodeStamps(form["stamps"] as (string | null)[]),
  "stamps.decode": (form) => stamps.decodeStamps(textIn(form, "text")),
  "rows.apply": (form) => {
    const before = form["row"] === null ? null : forms.rowFrom(formIn(form, "row"));
    const op = forms.opFrom(formIn(form, "op"));
    return forms.outcomeForm(row.apply(forms.tableFrom(form), before, op, textIn(form, "hub")));
  },
  "rows.join": (form) => {
    const [a, b] = [forms.rowFrom(formIn(form, "a")), forms.rowFrom(formIn(form, "b"))];
    return forms.rowForm(row.join(forms.tableFrom(form), a, b));
  },
  "rows.restore": (form) => {
    const before = form["row"] === null ? null : forms.rowFrom(formIn(form, "row"));
    return forms.outcomeForm(restore(forms.tableFrom(form), before, forms.rowFrom(formIn(form, "given"))));
  },
  "rows.follows": (form) =>
    row.follows(form["current"] as string | null, form["base"] as string | null, textIn(form, "stamp")),
};

const IMAGES: Record<string, Call> = {
  "images.row_of": (form) =>
    forms.rowForm(images.rowOf(forms.keyedTableFrom(form), numberIn(form, "keys"), forms.imageFrom(form))),
  "images.image_of": (form) => {
    const row = forms.rowFrom(formIn(form, "row"));
    return forms.imageForm(images.imageOf(textIn(form, "table"), form["key_values"] as Wire[], row));
  },
  "images.patched": (form) => {
    const [table, row] = [forms.keyedTableFrom(form), forms.rowFrom(formIn(form, "row"))];
    return forms.rowForm(images.patched(table, numberIn(form, "keys"), row, forms.imageFrom(form)));
  },
};

const MERGES: Record<string, Call> = {
  "merges.check": (form) => {
    const column = forms.columnFrom(formIn(form, "column"));
    return BY_NAME[column.merge].check(column, form["change"] ?? null);
  },
  "merges.difference": (form) => {
    const column = forms.columnFrom(formIn(form, "column"));
    const [oldValue = null, oldState = null] = [form["old_value"], form["old_state"]];
    return BY_NAME[column.merge].difference(column, oldValue, oldState, form["new_value"] ?? null);
  },
  "merges.apply": (form) => {
    const column = forms.columnFrom(formIn(form, "column"));
    const cell = forms.cellFrom(formIn(form, "cell"));
    const [stamp, dot, hub] = [textIn(form, "stamp"), textIn(form, "dot"), textIn(form, "hub")];
    return forms.cellForm(BY_NAME[column.merge].apply(column, cell, form["change"] ?? null, stamp, dot, hub));
  },
  "merges.join": (form) => {
    const column = forms.columnFrom(formIn(form, "column"));
    const [a, b] = [forms.cellFrom(formIn(form, "a")), forms.cellFrom(formIn(form, "b"))];
    return forms.cellForm(BY_NAME[column.merge].join(column, a, b));
  },
};

const DIGESTS: Record<string, Call> = {
  "digests.bucket": (form) => digest.bucket(textIn(form, "table"), textIn(form, "key")),
  "digests.part": (form) => digest.part(textIn(form, "table"), textIn(form, "key")),
  "digests.tag": (form) =>
    [...digest.tag(sumIn(form, "number"), numberIn(form, "turn"))]
      .map((byte) => byte.toString(16).padStart(2, "0"))
      .join(""),
  "digests.leaf": (form) => {
    const [table, key, written] = [textIn(form, "table"), textIn(form, "key"), textIn(form, "stamps")];
    return hexadecimal(digest.leaf(bytesOf(textIn(form, "digest_key")), table, key, numberIn(form, "life"), written));
  },
  "digests.add": (form) => hexadecimal(digest.add(sumIn(form, "total"), sumIn(form, "leaf"))),
  "digests.sub": (form) => hexadecimal(digest.sub(sumIn(form, "total"), sumIn(form, "leaf"))),
  "digests.branch": (form) => hexadecimal(digest.branch(sumsIn(form), numberIn(form, "number"))),
  "digests.total": (form) => hexadecimal(digest.total(sumsIn(form))),
  "digests.root": (form) => digest.root(sumsIn(form)),
  "digests.held": (form) => {
    const spaces = new Map(Object.entries(formIn(form, "spaces") as Record<string, readonly [string, string]>));
    const [hub, user, hash] = [textIn(form, "hub"), textIn(form, "user"), textIn(form, "schema")];
    return digest.held(hub, user, numberIn(form, "version"), hash, textIn(form, "layout"), spaces);
  },
};

const MESSAGES: Record<string, Call> = {
  "messages.request": (form) => {
    const bytes = codec.encodeRequest(codec.decodeRequest(utf8.encode(textIn(form, "text"))));
    return parse(new TextDecoder().decode(bytes));
  },
  "messages.short_request": (form) => {
    const bytes = codec.encodeShortRequest(codec.decodeShortRequest(utf8.encode(textIn(form, "text"))));
    return parse(new TextDecoder().decode(bytes));
  },
  "messages.short_answer": (form) => ({ ...codec.decodeShortAnswer(utf8.encode(textIn(form, "text"))) }),
  "messages.lines": (form) => forms.lineForm(codec.decodeLine(utf8.encode(textIn(form, "text")))),
};

const CALLS = new Map(
  Object.entries({
    ...VALUES,
    ...SCHEMA,
    ...CLOCK,
    ...CAUSALITY,
    ...ROWS,
    ...IMAGES,
    ...MERGES,
    ...DIGESTS,
    ...MESSAGES,
  }),
);

/** What a call makes of its input: `{"out": value}`, or `{"error": code}` when it refuses it with a code. */
export function answer(name: string, form: Form): { out: Wire } | { error: string } {
  const call = CALLS.get(name);
  if (call === undefined) throw new RangeError(`no such call: ${name}`);
  try {
    return { out: call(form) };
  } catch (error) {
    if (error instanceof values.InvalidValue || error instanceof HoldfastError) return { error: error.code };
    throw error;
  }
}

function vectorIn(form: Form, name: string): causality.Vector {
  return new Map(Object.entries(formIn(form, name) as Record<string, number>));
}

function sumIn(form: Form, name: string): bigint {
  return BigInt(`0x${textIn(form, name)}`);
}

function sumsIn(form: Form): digest.Sums {
  const sums = Object.entries(formIn(form, "sums") as Record<string, string>);
  return new Map(sums.map(([bucket, sum]) => [Number(bucket), BigInt(`0x${sum}`)]));
}

function hexadecimal(number: bigint): string {
  return number.toString(16).padStart(32, "0");
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}
