// Entries of indexes: the values of some columns as one text. Such texts sort, by UTF-16 unit, as the values do
// (spec/encoding.md, section 1.2), null first; so IndexedDB and a sorted array in memory agree on the order.
import type { Wire } from "../kernel/column";
import { canonicalJson } from "../kernel/values";
import type { Column, Table } from "../schema/compile";

const NULL = "\x01";
const VALUE = "\x02";
/** Sorts after every entry that begins with the same text. */
export const LAST = "\uffff";
const BEYOND_SURROGATES = /[\ud800-\uffff]/;

/** The columns of each index of a table: the key first, then what the schema declares. */
export function indexesOf(table: Table): readonly (readonly Column[])[] {
  const byName = new Map(table.columns.map((column) => [column.name, column]));
  const references = table.form.foreign_keys.map(({ columns }) => columns);
  const declared = [table.form.key, ...table.form.indexes, ...table.form.unique, ...references];
  return declared.map((names) => names.map((name) => byName.get(name)).filter((column) => column !== undefined));
}

/** The entry of values of those columns; of the first ones for the beginning of an entry. */
export function entryOf(columns: readonly Column[], values: readonly Wire[]): string {
  return values.map((value, place) => textOf(columns[place], value)).join("");
}

/** One value as a text that sorts as it does. */
export function textOf(column: Column | undefined, value: Wire): string {
  if (value === null) return NULL;
  return VALUE + orderText(column?.type ?? "text", value);
}

function orderText(type: string, value: Wire): string {
  if (typeof value === "boolean") return value ? "1" : "0";
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "string") return `${canonicalJson(value)}\0`;
  if (type === "bigint") return (BigInt(value) + 2n ** 63n).toString(16).padStart(16, "0");
  if (type === "decimal") return `${decimalText(value)}${value}\0`;
  return `${BEYOND_SURROGATES.test(value) ? byCodePoint(value) : value}\0`;
}

/** 16 hexadecimal digits of a double: its bits, all of them turned when it is negative, else the first one. */
function numberText(number: number): string {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, number + 0);
  const bits = view.getBigUint64(0);
  const ordered = bits >> 63n === 1n ? BigInt.asUintN(64, ~bits) : bits | (1n << 63n);
  return ordered.toString(16).padStart(16, "0");
}

/** Sign, number of digits before the point, digits; those of a negative number turned, so that it sorts the other way. */
function decimalText(text: string): string {
  const isNegative = text.startsWith("-");
  const [integer = "", fraction = ""] = text.replace("-", "").split(".");
  const whole = integer.replace(/^0+/, "");
  const digits = `${String(whole.length).padStart(6, "0")}${whole}${fraction.replace(/0+$/, "")}`;
  if (/^0+$/.test(digits)) return "1\0";
  return isNegative ? `0${digits.replace(/[0-9]/g, (digit) => String(9 - Number(digit)))}~` : `1${digits}\0`;
}

/** The text with its units so exchanged that their order is that of the code points. */
function byCodePoint(text: string): string {
  let result = "";
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    result += String.fromCharCode(unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);
  }
  return result;
}
