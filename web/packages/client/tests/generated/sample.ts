// Made by `holdfast codegen ts sample.py`; do not edit. Schema version 3, 5e4c15e52453c57f.
import type { Increment, Json, SetChange, SetGrowth, SchemaForm } from "@holdfast/client";

/** A row of project. It lives in project:{id}. */
export interface ProjectRow {
  readonly id: string;
  readonly name: string;
}

/** What a new row of project needs; the rest has defaults. */
export interface ProjectInsert {
  readonly id?: string;
  readonly name: string;
}

/** What may be changed in a row of project. */
export interface ProjectUpdate {
  readonly name?: string;
}

/** The key of a row of project. */
export type ProjectKey = string;

/** A row of submission. It lives in project:{project_id}. */
export interface SubmissionRow {
  readonly id: string;
  readonly project_id: string;
  readonly number: number | null;
  readonly status: string;
  /** A counter. */
  readonly crew_size: number;
  /** A set. */
  readonly tags: readonly string[];
  /** A set that only grows. */
  readonly seen: readonly bigint[];
  /** The earliest wins, a date, YYYY-MM-DD. */
  readonly inspected_on: string | null;
  /** A moment, UTC with six digits. */
  readonly due: string | null;
  readonly trade: "roofing" | "steel's";
  readonly grade: 1 | 2 | null;
  readonly extra: Json | null;
  readonly settings: Json;
  readonly hours: number;
  /** A decimal number, exact. */
  readonly cost: string;
  readonly big: bigint;
  readonly open: boolean;
  readonly photo: Uint8Array;
  /** A UUID. */
  readonly ref: string;
}

/** What a new row of submission needs; the rest has defaults. */
export interface SubmissionInsert {
  readonly id?: string;
  readonly project_id: string;
  readonly number?: number | null;
  readonly status?: string;
  readonly crew_size?: number;
  readonly tags?: readonly string[];
  readonly seen?: readonly bigint[];
  readonly inspected_on?: string | null;
  readonly due?: string | null;
  readonly trade?: "roofing" | "steel's";
  readonly grade?: 1 | 2 | null;
  readonly extra?: Json | null;
  readonly settings?: Json;
  readonly hours?: number;
  readonly cost?: string;
  readonly big?: bigint;
  readonly open?: boolean;
  readonly photo?: Uint8Array;
  readonly ref?: string;
}

/** What may be changed in a row of submission. */
export interface SubmissionUpdate {
  readonly project_id?: string;
  readonly number?: number | null;
  readonly status?: string;
  readonly crew_size?: number | Increment;
  readonly tags?: readonly string[] | SetChange<string>;
  readonly seen?: readonly bigint[] | SetGrowth<bigint>;
  readonly inspected_on?: string | null;
  readonly due?: string | null;
  readonly trade?: "roofing" | "steel's";
  readonly grade?: 1 | 2 | null;
  readonly extra?: Json | null;
  readonly settings?: Json;
  readonly hours?: number;
  readonly cost?: string;
  readonly big?: bigint;
  readonly open?: boolean;
  readonly photo?: Uint8Array;
  readonly ref?: string;
}

/** The key of a row of submission. */
export type SubmissionKey = string;

/** A row of reading. It lives in user:{@user}. */
export interface ReadingRow {
  readonly place: string;
  /** A moment, UTC with six digits. */
  readonly at: string;
  readonly big: bigint;
  readonly good: boolean;
  readonly n: number;
  readonly parent: string | null;
}

/** What a new row of reading needs; the rest has defaults. */
export interface ReadingInsert {
  readonly place: string;
  readonly at: string;
  readonly big: bigint;
  readonly good: boolean;
  readonly n: number;
  readonly parent?: string | null;
}

/** What may be changed in a row of reading. */
export interface ReadingUpdate {
  readonly parent?: string | null;
}

/** The key of a row of reading. */
export type ReadingKey = readonly [place: string, at: string, big: bigint, good: boolean, n: number];

/** Every table by name. */
export interface Tables {
  readonly project: { row: ProjectRow; insert: ProjectInsert; update: ProjectUpdate; key: ProjectKey };
  readonly submission: { row: SubmissionRow; insert: SubmissionInsert; update: SubmissionUpdate; key: SubmissionKey };
  readonly reading: { row: ReadingRow; insert: ReadingInsert; update: ReadingUpdate; key: ReadingKey };
}

export type TableName = keyof Tables;

/** The names that spaces can have. */
export type Space = `project:${string}` | `user:${string}`;

export const schema: SchemaForm<Tables> = {
  version: 3,
  hash: "5e4c15e52453c57f",
  tables: [
    {
      name: "project",
      columns: [
        { name: "id", type: "text", generate: "uuid7" },
        { name: "name", type: "text" },
      ],
      key: ["id"],
      space: "project:{id}",
      on_delete: "delete",
      priority: 2,
      indexes: [],
      unique: [],
      foreign_keys: [],
    },
    {
      name: "submission",
      columns: [
        { name: "id", type: "text", generate: "uuid7" },
        { name: "project_id", type: "text" },
        { name: "number", type: "int", nullable: true, default: null },
        { name: "status", type: "text", default: "it's a draft" },
        { name: "crew_size", type: "int", default: 0, merge: "counter" },
        { name: "tags", type: "set", element: "text", default: [], merge: "set" },
        { name: "seen", type: "set", element: "bigint", default: ["-1", "3"], merge: "grow_set" },
        { name: "inspected_on", type: "date", nullable: true, default: null, merge: "earliest" },
        { name: "due", type: "datetime", nullable: true, default: null },
        { name: "trade", type: "text", default: "roofing", choices: ["roofing", "steel's"] },
        { name: "grade", type: "int", nullable: true, default: null, choices: [1, 2] },
        { name: "extra", type: "json", nullable: true, default: null },
        { name: "settings", type: "json", default: { a: "x", b: [1, 2.5] } },
        { name: "hours", type: "float", default: 0.5 },
        { name: "cost", type: "decimal", default: "1.50" },
        { name: "big", type: "bigint", default: "-9223372036854775808" },
        { name: "open", type: "bool", default: true },
        { name: "photo", type: "bytes", default: "AP8=" },
        { name: "ref", type: "uuid", generate: "uuid7" },
      ],
      key: ["id"],
      space: "project:{project_id}",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [["status", "due"]],
      unique: [["ref"], ["project_id", "number"]],
      foreign_keys: [{ columns: ["project_id"], parent: "project", parent_columns: ["id"], on_delete: "cascade" }],
    },
    {
      name: "reading",
      columns: [
        { name: "place", type: "text" },
        { name: "at", type: "datetime" },
        { name: "big", type: "bigint" },
        { name: "good", type: "bool" },
        { name: "n", type: "int" },
        { name: "parent", type: "text", nullable: true, default: null },
      ],
      key: ["place", "at", "big", "good", "n"],
      space: "user:{@user}",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [],
      unique: [],
      foreign_keys: [{ columns: ["parent"], parent: "project", parent_columns: ["id"], on_delete: "set_null" }],
    },
  ],
};
