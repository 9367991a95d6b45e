// The tables that every schema has, as Python declares them (src/holdfast/schema/built_in.py; a test compares them).
import type { TableForm } from "./form";

export const BUILT_IN: readonly TableForm[] = [
  {
    name: "holdfast_conflict",
    columns: [
      { name: "id", type: "text", default: "" },
      { name: "state", type: "text", default: "auto", choices: ["auto", "open", "resolved"] },
      { name: "result", type: "text", nullable: true, default: null },
      { name: "resolved_by", type: "text", nullable: true, default: null },
      { name: "resolved_at", type: "int", nullable: true, default: null },
      { name: "space", type: "text", default: "" },
      { name: "table_name", type: "text", default: "" },
      { name: "row_key", type: "text", default: "" },
      { name: "column_name", type: "text", default: "" },
      { name: "rule", type: "text", default: "" },
      { name: "winner", type: "text", default: "" },
      { name: "base", type: "text", nullable: true, default: null },
      { name: "mine", type: "text", nullable: true, default: null },
      { name: "mine_user", type: "text", default: "" },
      { name: "mine_device", type: "text", default: "" },
      { name: "mine_at", type: "int", nullable: true, default: null },
      { name: "theirs", type: "text", nullable: true, default: null },
      { name: "theirs_user", type: "text", default: "" },
      { name: "theirs_device", type: "text", default: "" },
      { name: "theirs_at", type: "int", nullable: true, default: null },
      { name: "error", type: "text", default: "" },
    ],
    key: ["id"],
    space: "{space}",
    on_delete: "keep_edits",
    priority: 0,
    indexes: [
      ["table_name", "row_key"],
      ["state", "space", "id"],
      ["table_name", "state", "id"],
    ],
    unique: [],
    foreign_keys: [],
  },
];
