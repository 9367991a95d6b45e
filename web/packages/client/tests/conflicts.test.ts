// A conflict from each side, members of JSON, and what a decision comes to: the cases of Python's tests.
import { describe, expect, test } from "vitest";
import type { Wire } from "../src/kernel/column";
import { chosen, type Conflict, conflictOf, decided, isUnsettled, losingSide } from "../src/protocol/conflicts";
import { ABSENT, alike, member, split, textOf, withMember } from "../src/protocol/members";
import { compile } from "../src/schema/compile";
import type { ColumnForm, SchemaForm } from "../src/schema/form";

const COLUMNS: readonly ColumnForm[] = [
  { name: "id", type: "text" },
  { name: "status", type: "text", default: "draft", choices: ["draft", "mine", "theirs", "other"] },
  { name: "crew", type: "int", default: 0, merge: "counter" },
  { name: "notes", type: "json", default: {}, merge: "json" },
  { name: "remark", type: "text", default: "", merge: "merge_text" },
];
const FORM: SchemaForm = {
  version: 1,
  hash: "",
  tables: [
    {
      ...{ name: "form", columns: COLUMNS, key: ["id"], space: "site", on_delete: "keep_edits", priority: 0 },
      ...{ indexes: [], unique: [], foreign_keys: [] },
    },
  ],
};
const SCHEMA = compile(FORM);
const ROW: Readonly<Record<string, Wire>> = {
  ...{ id: "c1", state: "auto", result: null, resolved_by: null, resolved_at: null, space: "site", error: "" },
  ...{ table_name: "form", row_key: "f1", column_name: "status", rule: "register", winner: "theirs", base: '"draft"' },
  ...{ mine: '"mine"', mine_user: "ann", mine_device: "A", mine_at: 1 },
  ...{ theirs: '"theirs"', theirs_user: "ben", theirs_device: "B", theirs_at: 2 },
};
const conflict = (changes: Readonly<Record<string, Wire>>): Conflict => conflictOf({ ...ROW, ...changes }, "A");
const code = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("sides", () => {
  test("mine is what this device wrote; who wrote neither sees the loser as mine", () => {
    const seen = ["A", "B", "C"].map((device) => conflictOf(ROW, device));
    expect(seen.map(({ mine, theirs, winner }) => [mine, theirs, winner])).toEqual([
      ["mine", "theirs", "theirs"],
      ["theirs", "mine", "mine"],
      ["mine", "theirs", "theirs"],
    ]);
    expect(conflictOf({ ...ROW, winner: "mine" }, "C")).toMatchObject({ mine: "theirs", winner: "theirs" });
    expect(seen.map((one, i) => isUnsettled(one, "ABC"[i] ?? ""))).toEqual([true, false, false]);
    expect(isUnsettled(conflict({ state: "open", winner: "merged" }), "C")).toBe(true);
    expect(losingSide(conflict({}))).toBe("mine");
    expect(code(() => losingSide(conflict({ winner: "merged" })))).toBe("conflict_choice");
  });
});

describe("members", () => {
  test("pointers", () => {
    expect(split("notes/a~1b/0")).toEqual(["notes", "/a~1b/0"]);
    expect(split("notes")).toEqual(["notes", ""]);
    const value = { "a/b": [1, { x: 2 }], "~": 3 };
    expect(member(value, "/a~1b/1/x")).toBe(2);
    expect(member(value, "/~0")).toBe(3);
    for (const path of ["/no", "/a~1b/2", "/a~1b/-", "/~0/x", "/a~1b/01x"]) expect(member(value, path)).toBe(ABSENT);
    expect([textOf(ABSENT), textOf({ b: 1, a: null })]).toEqual([null, '{"a":null,"b":1}']);
    expect([alike(ABSENT, null), alike(1, 1), alike(ABSENT, ABSENT)]).toEqual([false, true, true]);
  });

  test("with a member, or without it", () => {
    const value = { a: [1, 2], b: { c: 3 } };
    expect(withMember(value, "/a/1", 9)).toEqual({ a: [1, 9], b: { c: 3 } });
    expect(withMember(value, "/a/-", 9)).toEqual({ a: [1, 2, 9], b: { c: 3 } });
    expect(withMember(value, "/a/0", ABSENT)).toEqual({ a: [2], b: { c: 3 } });
    expect(withMember(value, "/b/c", ABSENT)).toEqual({ a: [1, 2], b: {} });
    expect(withMember(value, "/d/e", 1)).toEqual({ a: [1, 2], b: { c: 3 }, d: { e: 1 } });
    for (const path of ["/a/2", "/a/0/x", "/b/c/d"]) expect(withMember(value, path, 1)).toBe(ABSENT);
    expect(value).toEqual({ a: [1, 2], b: { c: 3 } });
  });
});

describe("decisions", () => {
  const decide = (one: Conflict, choice: unknown, shown: Readonly<Record<string, Wire>> | null): unknown =>
    code(() => decided(SCHEMA, one, chosen(choice), shown));

  test("a cell: either side, another value, what stands already, no row, a value that it refuses", () => {
    const shown = { status: "theirs" };
    expect(decide(conflict({}), "mine", shown)).toMatchObject({ effect: "update", values: { status: "mine" } });
    expect(decide(conflict({}), "theirs", shown)).toMatchObject({ effect: "none", result: "theirs" });
    expect(decide(conflict({}), "other", shown)).toMatchObject({ effect: "update", result: "other" });
    expect(decide(conflict({}), "mine", null)).toBe("conflict_gone");
    expect(decide(conflict({}), "nonsense", shown)).toBe("value_choice");
  });

  test("a merged text of which only the edit is known", () => {
    const remark = { column_name: "remark", rule: "merge_text" };
    const typed = conflict({ ...remark, mine: '{"op":["new"]}', theirs: '{"op":[3,"x"]}' });
    expect(decide(typed, "mine", { remark: "" })).toMatchObject({ values: { remark: "new" } });
    expect(decide(typed, "theirs", { remark: "" })).toBe("conflict_choice");
  });

  test("a deletion that met an edit", () => {
    const life = { column_name: "", rule: "delete", mine: null, theirs: '{"status":"theirs","crew":2}' };
    expect(decide(conflict(life), "mine", {})).toMatchObject({ effect: "delete", result: null });
    expect(decide(conflict(life), "theirs", {})).toMatchObject({ effect: "none", result: { alive: true } });
    expect(decide(conflict(life), "other", {})).toBe("conflict_choice");
    expect(decide(conflict({ ...life, base: null }), "theirs", null)).toBe("conflict_gone");
    const known = { ...life, base: '{"status":"draft","remark":"old","crew":1}' };
    expect(decide(conflict(known), "theirs", null)).toMatchObject({
      effect: "insert",
      values: { status: "theirs", remark: "old", crew: 1 },
    });
  });

  test("a member of a document; the rest stays, and what has moved is not written over", () => {
    const notes = { column_name: "notes/list/0", rule: "json", mine: '"a"', theirs: null };
    const one = conflict(notes);
    expect(one).toMatchObject({ column: "notes", path: "/list/0", deleted: "theirs" });
    const shown = { notes: { list: ["a", "b"], other: 1 } };
    expect(decide(one, "mine", shown)).toMatchObject({ effect: "none" });
    expect(decide(one, "theirs", shown)).toMatchObject({ values: { notes: { list: ["b"], other: 1 } } });
    expect(decide(one, "theirs", { notes: { list: ["x"], other: 1 } })).toBe("conflict_gone");
    expect(decide(one, "mine", { notes: { list: 3 } })).toBe("conflict_gone");
  });
});
