// Generated schemas, as an application uses them: their types hold (tsc checks this file), and they compile.
import { describe, expect, expectTypeOf, test } from "vitest";
import { compile, tableOf } from "../src/schema/compile";
import { appValueOf, wireOf } from "../src/schema/app_values";
import type { Increment, SchemaForm, SetChange } from "../src/schema/form";
import * as sample from "./generated/sample";
import * as stored from "./generated/stored";

describe("types", () => {
  test("rows, inserts, updates and keys", () => {
    expectTypeOf<sample.Tables["submission"]["row"]["big"]>().toEqualTypeOf<bigint>();
    expectTypeOf<sample.SubmissionRow["trade"]>().toEqualTypeOf<"roofing" | "steel's">();
    expectTypeOf<sample.SubmissionUpdate["crew_size"]>().toEqualTypeOf<number | Increment | undefined>();
    expectTypeOf<sample.SubmissionUpdate["tags"]>().toEqualTypeOf<readonly string[] | SetChange<string> | undefined>();
    expectTypeOf<sample.TableName>().toEqualTypeOf<"project" | "submission" | "reading">();
    expectTypeOf<stored.EntryKey>().toExtend<readonly [string, string]>();
    expectTypeOf<"project:42">().toExtend<sample.Space>();
    expectTypeOf<"city">().not.toExtend<sample.Space>();
    expectTypeOf(sample.schema).toEqualTypeOf<SchemaForm<sample.Tables>>();
  });

  test("what is required is required, and a key is never changed", () => {
    const insert: sample.SubmissionInsert = { project_id: "42", tags: ["roof"], big: 2n ** 62n };
    // @ts-expect-error project_id has no default
    const lacking: sample.SubmissionInsert = { tags: ["roof"] };
    // @ts-expect-error a key is never changed
    const moved: sample.SubmissionUpdate = { id: "1" };
    // @ts-expect-error one of two
    const chosen: sample.SubmissionUpdate = { trade: "wood" };
    expect([insert, lacking, moved, chosen]).toHaveLength(4);
  });
});

describe("compile", () => {
  test("tables by name, the built-in ones at the end", () => {
    const schema = compile(sample.schema);
    expect([...schema.tables.keys()]).toEqual(["project", "submission", "reading", "holdfast_conflict"]);
    expect(schema.hash).toBe(sample.schema.hash);
  });

  test("key, cells and slots", () => {
    const entry = tableOf(compile(stored.schema), "entry");
    expect(entry.key.map(({ name }) => name)).toEqual(["site_id", "place"]);
    expect(entry.cells.map(({ name, merge }) => [name, merge])).toEqual([
      ["body", "text"],
      ["config", "json"],
      ["remark", "merge_text"],
      ["checked", "review"],
    ]);
    expect(entry.slots.get("remark")).toBe(2);
    expect(entry.onDelete).toBe("keep_edits");
  });

  test("an unknown table is named with those that there are", () => {
    expect(() => tableOf(compile(stored.schema), "note")).toThrow("it has entry, holdfast_conflict, site");
  });

  test.each([
    [{ stored: "no type!" }, "is not the name of a type"],
    [{ stored: "jsonb[]" }, "is not supported"],
  ])("a column that cannot be: %o", (more, told) => {
    const column = { name: "c", type: "json", ...more } as const;
    const table = { ...stored.schema.tables[0], columns: [column], key: [] } as (typeof stored.schema.tables)[number];
    expect(() => compile({ version: 1, hash: "", tables: [table] })).toThrow(told);
  });

  test("a key without its column", () => {
    const table = { ...stored.schema.tables[0], key: ["nowhere"] } as (typeof stored.schema.tables)[number];
    expect(() => compile({ version: 1, hash: "", tables: [table] })).toThrow("no column nowhere");
  });
});

describe("values of applications", () => {
  const large = new Uint8Array(100_000).map((_, index) => index % 256);

  test.each([
    ["bigint", -(2n ** 63n), "", "-9223372036854775808"],
    ["bytes", Uint8Array.of(0, 255), "", "AP8="],
    ["bytes", Uint8Array.of(), "", ""],
    ["set", [3n, -1n], "bigint", ["3", "-1"]],
    ["set", ["a"], "text", ["a"]],
    ["text", "é", "", "é"],
    ["int", 5, "", 5],
    ["json", { a: [1, null] }, "", { a: [1, null] }],
    ["date", null, "", null],
  ])("%s %o", (type, value, element, wire) => {
    expect(wireOf(type, value, element)).toEqual(wire);
    expect(appValueOf(type, wire, element)).toEqual(value);
  });

  test("many bytes, and a Set", () => {
    const wire = wireOf("bytes", large);
    expect(appValueOf("bytes", wire)).toEqual(large);
    expect(wireOf("set", new Set([1n, 2n]), "bigint")).toEqual(["1", "2"]);
  });

  test("undefined is no value", () => {
    expect(() => wireOf("text", undefined)).toThrow("undefined is no value");
  });
});
