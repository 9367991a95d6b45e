// The key of a row as text (spec/encoding.md, section 2).
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import { lengthOf } from "../kernel/text";
import { canonicalJson, InvalidValue } from "../kernel/values";
import type { Table } from "./compile";

const KEY_LIMIT = 1024;

/** The key of a row from the checked values of its key columns, in key order; throws `key_too_long`. */
export function keyText(table: Table, values: readonly Wire[]): string {
  const [first] = values;
  const isText = table.key.length === 1 && typeof first === "string";
  return within(table, isText ? first : canonicalJson(table.key.length === 1 ? (first ?? null) : [...values]));
}

/** The values of the key columns of a key that this device or its hub has made; throws InvalidValue for another text. */
export function keyValues(table: Table, key: string): Wire[] {
  const [only] = table.key;
  if (table.key.length === 1 && only !== undefined) {
    return [only.type === "int" || only.type === "bool" ? only.accept(parsed(table, key)) : key];
  }
  const found = parsed(table, key);
  if (!Array.isArray(found) || found.length !== table.key.length) throw notAKey(table, key);
  return table.key.map((column, place) => column.accept((found as Wire[])[place] ?? null));
}

function parsed(table: Table, key: string): Wire {
  try {
    return JSON.parse(key) as Wire;
  } catch {
    throw notAKey(table, key);
  }
}

function within(table: Table, key: string): string {
  if (key.length <= KEY_LIMIT || lengthOf(key) <= KEY_LIMIT) return key;
  throw new HoldfastError("key_too_long", `a key of ${table.name} has more than ${KEY_LIMIT} characters`);
}

function notAKey(table: Table, key: string): InvalidValue {
  const names = table.key.map(({ name }) => name).join(", ");
  return new InvalidValue("value_format", `${JSON.stringify(key)} is not a key of ${table.name} (${names})`);
}
