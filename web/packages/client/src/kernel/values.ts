// Wire values: what each column type admits, its canonical form, equality and order.
//
// Specification: spec/encoding.md, section 1. Vectors: spec/vectors/values. JavaScript has one kind of number where JSON
// and Python tell 1 from 1.0: the specification makes them one value, so nothing here depends on it.
import type { Wire } from "./column";
import { checkBytes, checkDate, checkDatetime, checkDecimal, checkUuid, compareDecimals } from "./forms";
import { compareText, isUnicode } from "./text";

/** Largest magnitude of an `int`: exact in JSON, JavaScript and SQLite. */
export const MAX_INT = Number.MAX_SAFE_INTEGER;
export const MAX_JSON_DEPTH = 100;

const MAX_BIGINT = 2n ** 63n - 1n;

export type ValueCode =
  | "value_type"
  | "value_format"
  | "value_range"
  | "value_nul"
  | "value_null"
  | "value_choice"
  | "document_malformed"
  | "document_gap"
  | "edit_misfit";

/** A value outside its domain. */
export class InvalidValue extends Error {
  override readonly name = "InvalidValue";

  constructor(
    readonly code: ValueCode,
    message: string,
  ) {
    super(message);
  }
}

/** An object whose members are all its own: safe to read by any name. */
export type Members = Readonly<Record<string, Wire>>;

/**
 * The canonical wire form of `wire` as a value of `type` (`element`: the type of a set's elements).
 *
 * Accepted forms (encoding.md, section 1) are rewritten. Throws InvalidValue. null is refused with `value_null`: whether
 * a column admits it, is not a matter of the type.
 */
export function check(type: string, wire: unknown, element = ""): Wire {
  if (wire === null) throw new InvalidValue("value_null", "the column is not optional; give a value");
  if (type === "set") return checkSet(wire, element);
  const checkType = CHECKS.get(type);
  if (checkType === undefined) throw new RangeError(`no such type: ${type}`);
  return checkType(wire);
}

/** The members of a JSON object; undefined for anything else. */
export function membersOf(wire: unknown): Members | undefined {
  if (typeof wire !== "object" || wire === null || Array.isArray(wire)) return undefined;
  const prototype: unknown = Object.getPrototypeOf(wire);
  // Any realm's plain object, but no Date, Map or class of the application.
  return prototype === null || Object.getPrototypeOf(prototype) === null ? (wire as Members) : undefined;
}

const KINDS: ReadonlyMap<string, string> = new Map([
  ["string", "a string"],
  ["number", "a number"],
  ["bigint", "an integer"],
  ["boolean", "a boolean"],
  ["object", "an object"],
]);

/** What a value is, for messages. */
export function kindOf(wire: unknown): string {
  if (wire === null) return "null";
  if (Array.isArray(wire)) return "an array";
  return KINDS.get(typeof wire) ?? typeof wire;
}

/** A string, or `value_type`. */
export function stringOf(wire: unknown, wanted: string): string {
  if (typeof wire === "string") return wire;
  throw new InvalidValue("value_type", `expected ${wanted} as a string, found ${kindOf(wire)}`);
}

function checkText(wire: unknown): string {
  const text = stringOf(wire, "text");
  if (text.includes("\0")) {
    throw new InvalidValue("value_nul", "a text cannot hold U+0000, because PostgreSQL cannot store it; remove it");
  }
  if (!isUnicode(text)) {
    throw new InvalidValue("value_format", "a text cannot hold an unpaired surrogate: not valid Unicode");
  }
  return text;
}

function checkInt(wire: unknown): number {
  if (typeof wire === "number") {
    if (!Number.isFinite(wire)) throw new InvalidValue("value_range", "an integer cannot be infinite or not a number");
    if (!Number.isInteger(wire)) throw new InvalidValue("value_type", `expected an integer, found ${wire}`);
    if (Number.isSafeInteger(wire)) return wire + 0; // turns -0 into 0
  } else if (typeof wire !== "bigint") {
    throw new InvalidValue("value_type", `expected an integer, found ${kindOf(wire)}`);
  } else if (Number.isSafeInteger(Number(wire))) {
    return Number(wire);
  }
  throw new InvalidValue("value_range", "an int lies within ±(2^53-1); declare the column BigInt for larger ones");
}

function checkBigint(wire: unknown): string {
  const text = stringOf(wire, "a bigint");
  if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) {
    throw new InvalidValue("value_format", "a bigint is written in decimal digits, without leading zeros or a plus");
  }
  // The length is looked at first: converting a number of a million digits takes minutes.
  if (text.length > 20 || BigInt(text) > MAX_BIGINT || BigInt(text) < -MAX_BIGINT - 1n) {
    throw new InvalidValue("value_range", "a bigint lies within -2^63 .. 2^63-1");
  }
  return text;
}

function checkFloat(wire: unknown): number {
  if (typeof wire !== "number" && typeof wire !== "bigint") {
    throw new InvalidValue("value_type", `expected a number, found ${kindOf(wire)}`);
  }
  const number = Number(wire);
  if (!Number.isFinite(number)) {
    throw new InvalidValue("value_range", "a float must be finite; use null for a missing measurement");
  }
  return number + 0; // turns -0 into 0 and leaves every other double alone
}

function checkBool(wire: unknown): boolean {
  if (typeof wire === "boolean") return wire;
  throw new InvalidValue("value_type", `expected true or false, found ${kindOf(wire)}`);
}

/**
 * A JSON value. A number beyond ±(2^53-1) is a double like any other; a bigint, which only an integer written so in JSON
 * text becomes, is refused there.
 */
function checkJson(wire: unknown, depth = 0): Wire {
  if (wire === null || typeof wire === "boolean") return wire;
  if (typeof wire === "string") return checkText(wire);
  if (typeof wire === "bigint") return checkInt(wire);
  if (typeof wire === "number") return checkFloat(wire);
  const members = membersOf(wire);
  if (members === undefined && !Array.isArray(wire)) {
    throw new InvalidValue("value_type", `expected a JSON value, found ${kindOf(wire)}`);
  }
  if (depth === MAX_JSON_DEPTH) {
    throw new InvalidValue("value_range", `a JSON value is at most ${MAX_JSON_DEPTH} levels deep`);
  }
  if (members === undefined) return Array.from(wire as readonly unknown[], (item) => checkJson(item, depth + 1));
  const names = Object.keys(members);
  names.forEach(checkText);
  // fromEntries, because assigning to the name "__proto__" would change the prototype.
  return Object.fromEntries(names.sort(compareText).map((name) => [name, checkJson(members[name], depth + 1)]));
}

function checkSet(wire: unknown, element: string): Wire[] {
  if (!Array.isArray(wire))
    throw new InvalidValue("value_type", `expected an array of ${element}, found ${kindOf(wire)}`);
  return sortElements(
    element,
    Array.from(wire, (item) => check(element, item)),
  );
}

const CHECKS: ReadonlyMap<string, (wire: unknown) => Wire> = new Map<string, (wire: unknown) => Wire>([
  ["text", checkText],
  ["int", checkInt],
  ["bigint", checkBigint],
  ["float", checkFloat],
  ["bool", checkBool],
  ["bytes", checkBytes],
  ["date", checkDate],
  ["datetime", checkDatetime],
  ["decimal", checkDecimal],
  ["uuid", checkUuid],
  ["json", (wire) => checkJson(wire)],
]);

/**
 * -1, 0 or 1 as the canonical value `a` sorts before, with or after `b` (encoding.md, section 1.2). The order is total:
 * decimals that are equal as numbers ("1.5", "1.50") sort by their text.
 */
export function compare(type: string, a: Wire, b: Wire): number {
  if (typeof a !== "string" || typeof b !== "string") return orderOf(Number(a), Number(b));
  if (type === "bigint") return orderOf(BigInt(a), BigInt(b));
  const difference = type === "decimal" ? compareDecimals(a, b) || compareText(a, b) : compareText(a, b);
  return Math.sign(difference);
}

function orderOf<T extends number | bigint>(a: T, b: T): number {
  return Number(a > b) - Number(a < b);
}

/** The distinct canonical values of one scalar type in their order, as a set is written. */
export function sortElements(type: string, elements: Iterable<Wire>): Wire[] {
  return [...new Set(elements)].sort((a, b) => compare(type, a, b));
}

/** Whether two wire values are one JSON value: true is not 1, the order of members does not count. */
export function same(a: Wire, b: Wire): boolean {
  if (typeof a === "object" && a !== null) return canonicalJson(a) === canonicalJson(b);
  return a === b;
}

/**
 * The one JSON text of a wire value (encoding.md, section 1.1).
 *
 * Members are sorted by name, because an engine may not keep another order. Numbers are written as ECMAScript does it,
 * except that an integral one beyond ±(2^53-1) always has an exponent, so that no reader takes it for an integer.
 */
export function canonicalJson(value: Wire): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item: Wire) => canonicalJson(item)).join(",")}]`;
  const members = Object.entries(value).sort(([a], [b]) => compareText(a, b));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(",")}}`;
}

/** A finite number as it stands in JSON. */
export function numberText(number: number): string {
  return Math.abs(number) > MAX_INT ? number.toExponential() : String(number);
}
