// Made by `holdfast codegen ts stored.py`; do not edit. Schema version 2, 6a0cfb7f96152b3b.
import type { Json, SchemaForm } from "@holdfast/client";

/** A row of site. It lives in all. */
export interface SiteRow {
  readonly id: string;
  /** Smallint at the hub. */
  readonly number: 1 | 2;
  /** Bigint[] at the hub. */
  readonly slots: readonly (string | null)[];
  /** Time without time zone at the hub. */
  readonly opens: string;
  /** A decimal number, exact, numeric(10,2) at the hub. */
  readonly budget: string | null;
}

/** What a new row of site needs; the rest has defaults. */
export interface SiteInsert {
  readonly id?: string;
  readonly number: 1 | 2;
  readonly slots: readonly (string | null)[];
  readonly opens?: string;
  readonly budget?: string | null;
}

/** What may be changed in a row of site. */
export interface SiteUpdate {
  readonly number?: 1 | 2;
  readonly slots?: readonly (string | null)[];
  readonly opens?: string;
  readonly budget?: string | null;
}

/** The key of a row of site. */
export type SiteKey = string;

/** A row of entry. It lives where its site lives. */
export interface EntryRow {
  readonly site_id: string;
  readonly place: "door*/" | "it's \u2028";
  /** A document of text. */
  readonly body: string;
  /** A document of JSON. */
  readonly config: Json;
  /** A merged text. */
  readonly remark: string;
  /** Conflicts wait for a person. */
  readonly checked: boolean;
}

/** What a new row of entry needs; the rest has defaults. */
export interface EntryInsert {
  readonly site_id: string;
  readonly place: "door*/" | "it's \u2028";
  readonly body?: string;
  readonly config?: Json;
  readonly remark?: string;
  readonly checked?: boolean;
}

/** What may be changed in a row of entry. */
export interface EntryUpdate {
  readonly body?: string;
  readonly config?: Json;
  readonly remark?: string;
  readonly checked?: boolean;
}

/** The key of a row of entry. */
export type EntryKey = readonly [site_id: string, place: "door*/" | "it's \u2028"];

/** Every table by name. */
export interface Tables {
  readonly site: { row: SiteRow; insert: SiteInsert; update: SiteUpdate; key: SiteKey };
  readonly entry: { row: EntryRow; insert: EntryInsert; update: EntryUpdate; key: EntryKey };
}

export type TableName = keyof Tables;

/** The names that spaces can have. */
export type Space = "all";

export const schema: SchemaForm<Tables> = {
  version: 2,
  hash: "6a0cfb7f96152b3b",
  tables: [
    {
      name: "site",
      columns: [
        { name: "id", type: "text", generate: "uuid7" },
        { name: "number", type: "int", choices: [1, 2], stored: "smallint" },
        { name: "slots", type: "json", stored: "bigint[]" },
        { name: "opens", type: "text", default: "07:30:00", stored: "time without time zone" },
        { name: "budget", type: "decimal", nullable: true, default: null, stored: "numeric(10,2)" },
      ],
      key: ["id"],
      space: "all",
      on_delete: "keep_edits",
      priority: 0,
      indexes: [],
      unique: [],
      foreign_keys: [],
    },
    {
      name: "entry",
      columns: [
        { name: "site_id", type: "text" },
        { name: "place", type: "text", choices: ["door*/", "it's \u2028"] },
        { name: "body", type: "text", default: "", merge: "text" },
        { name: "config", type: "json", default: {}, merge: "json" },
        { name: "remark", type: "text", default: "", merge: "merge_text" },
        { name: "checked", type: "bool", default: false, merge: "review" },
      ],
      key: ["site_id", "place"],
      space: { via: ["site_id"] },
      on_delete: "keep_edits",
      priority: 0,
      indexes: [],
      unique: [],
      foreign_keys: [{ columns: ["site_id"], parent: "site", parent_columns: ["id"], on_delete: "restrict" }],
    },
  ],
};
