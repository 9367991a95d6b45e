// Made by `holdfast codegen ts schema.py`; do not edit. Schema version 1, 15da777e3854270f.
import type { Increment, Json, SetChange, SetGrowth, SchemaForm } from "@holdfast/client";

/** A row of project. It lives in project:{id}. */
export interface ProjectRow {
  readonly id: string;
  readonly name: string;
}

/** What a new row of project needs; the rest has defaults. */
export interface ProjectInsert {
  readonly id: string;
  readonly name?: string;
}

/** What may be changed in a row of project. */
export interface ProjectUpdate {
  readonly name?: string;
}

/** The key of a row of project. */
export type ProjectKey = string;

/** A row of item. It lives in project:{project_id}. */
export interface ItemRow {
  readonly id: string;
  readonly project_id: string;
  readonly status: string;
  readonly rank: number;
  /** A counter. */
  readonly crew: number;
  /** A set. */
  readonly tags: readonly string[];
  /** A set that only grows. */
  readonly seen: readonly string[];
  /** The earliest wins, a date, YYYY-MM-DD. */
  readonly inspected_on: string | null;
  /** The latest wins, a date, YYYY-MM-DD. */
  readonly closed_on: string | null;
  /** A moment, UTC with six digits. */
  readonly due: string | null;
  readonly weight: number;
  /** A decimal number, exact. */
  readonly cost: string;
  readonly big: bigint;
  readonly open: boolean;
  readonly photo: Uint8Array;
  readonly settings: Json | null;
  /** Conflicts wait for a person. */
  readonly grade: string;
  /** What stands wins. */
  readonly level: number;
  /** A document of text. */
  readonly notes: string;
  /** A document of JSON. */
  readonly config: Json;
  /** A merged text. */
  readonly remark: string;
}

/** What a new row of item needs; the rest has defaults. */
export interface ItemInsert {
  readonly id?: string;
  readonly project_id: string;
  readonly status?: string;
  readonly rank?: number;
  readonly crew?: number;
  readonly tags?: readonly string[];
  readonly seen?: readonly string[];
  readonly inspected_on?: string | null;
  readonly closed_on?: string | null;
  readonly due?: string | null;
  readonly weight?: number;
  readonly cost?: string;
  readonly big?: bigint;
  readonly open?: boolean;
  readonly photo?: Uint8Array;
  readonly settings?: Json | null;
  readonly grade?: string;
  readonly level?: number;
  readonly notes?: string;
  readonly config?: Json;
  readonly remark?: string;
}

/** What may be changed in a row of item. */
export interface ItemUpdate {
  readonly project_id?: string;
  readonly status?: string;
  readonly rank?: number;
  readonly crew?: number | Increment;
  readonly tags?: readonly string[] | SetChange<string>;
  readonly seen?: readonly string[] | SetGrowth<string>;
  readonly inspected_on?: string | null;
  readonly closed_on?: string | null;
  readonly due?: string | null;
  readonly weight?: number;
  readonly cost?: string;
  readonly big?: bigint;
  readonly open?: boolean;
  readonly photo?: Uint8Array;
  readonly settings?: Json | null;
  readonly grade?: string;
  readonly level?: number;
  readonly notes?: string;
  readonly config?: Json;
  readonly remark?: string;
}

/** The key of a row of item. */
export type ItemKey = string;

/** A row of note. It lives in project:{project_id}. */
export interface NoteRow {
  readonly id: string;
  readonly project_id: string;
  readonly author: string;
  readonly at: number;
  readonly body: string;
}

/** What a new row of note needs; the rest has defaults. */
export interface NoteInsert {
  readonly id?: string;
  readonly project_id: string;
  readonly author: string;
  readonly at: number;
  readonly body: string;
}

/** What may be changed in a row of note. */
export interface NoteUpdate {
  readonly project_id?: string;
  readonly author?: string;
  readonly at?: number;
  readonly body?: string;
}

/** The key of a row of note. */
export type NoteKey = string;

/** Every table by name. */
export interface Tables {
  readonly project: { row: ProjectRow; insert: ProjectInsert; update: ProjectUpdate; key: ProjectKey };
  readonly item: { row: ItemRow; insert: ItemInsert; update: ItemUpdate; key: ItemKey };
  readonly note: { row: NoteRow; insert: NoteInsert; update: NoteUpdate; key: NoteKey };
}

export type TableName = keyof Tables;

/** The names that spaces can have. */
export type Space = `project:${string}`;

export const schema: SchemaForm<Tables> = {
  version: 1,
  hash: "15da777e3854270f",
  tables: [
    {
      name: "project",
      columns: [
        { name: "id", type: "text" },
        { name: "name", type: "text", default: "" },
      ],
      key: ["id"],
      space: "project:{id}",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [],
      unique: [],
      foreign_keys: [],
    },
    {
      name: "item",
      columns: [
        { name: "id", type: "text", generate: "uuid7" },
        { name: "project_id", type: "text" },
        { name: "status", type: "text", default: "draft" },
        { name: "rank", type: "int", default: 0 },
        { name: "crew", type: "int", default: 0, merge: "counter" },
        { name: "tags", type: "set", element: "text", default: [], merge: "set" },
        { name: "seen", type: "set", element: "text", default: [], merge: "grow_set" },
        { name: "inspected_on", type: "date", nullable: true, default: null, merge: "earliest" },
        { name: "closed_on", type: "date", nullable: true, default: null, merge: "latest" },
        { name: "due", type: "datetime", nullable: true, default: null },
        { name: "weight", type: "float", default: 0.0 },
        { name: "cost", type: "decimal", default: "0" },
        { name: "big", type: "bigint", default: "0" },
        { name: "open", type: "bool", default: true },
        { name: "photo", type: "bytes", default: "" },
        { name: "settings", type: "json", nullable: true, default: null },
        { name: "grade", type: "text", default: "", merge: "review" },
        { name: "level", type: "int", default: 0, merge: "server_wins" },
        { name: "notes", type: "text", default: "", merge: "text" },
        { name: "config", type: "json", default: {}, merge: "json" },
        { name: "remark", type: "text", default: "", merge: "merge_text" },
      ],
      key: ["id"],
      space: "project:{project_id}",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [["project_id", "status", "rank"], ["due"]],
      unique: [],
      foreign_keys: [],
    },
    {
      name: "note",
      columns: [
        { name: "id", type: "text", generate: "uuid7" },
        { name: "project_id", type: "text" },
        { name: "author", type: "text" },
        { name: "at", type: "int" },
        { name: "body", type: "text" },
      ],
      key: ["id"],
      space: "project:{project_id}",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [["author", "at"]],
      unique: [],
      foreign_keys: [],
    },
  ],
};
