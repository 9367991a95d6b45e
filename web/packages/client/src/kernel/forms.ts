// The types whose wire form is a text with a form of its own: bytes, date, datetime, decimal, uuid.
//
// Specification: spec/encoding.md, section 1. Python has these in values.py, where the standard library does most of the
// work. No Date object is used: it knows no microseconds and takes the years 0 to 99 for 1900 to 1999.
import { InvalidValue, stringOf } from "./values";

const MAX_DECIMAL_DIGITS = 1000;
const MAX_EXPONENT_DIGITS = 4;
const MINUTES_PER_DAY = 1440;
/** Days from 0001-01-01 to the day after 9999-12-31. */
const DAYS = 3_652_059;

export function checkBytes(wire: unknown): string {
  const text = stringOf(wire, "base64");
  const body = text.replace(/={1,2}$/, "");
  const padding = text.length - body.length;
  const last = body.slice(-1);
  // The unused bits of the last digit are zero: four of them before "==", two before "=".
  const isClean = padding === 0 || (padding === 2 ? "AQgw" : "AEIMQUYcgkosw048").includes(last);
  if (text.length % 4 !== 0 || /[^A-Za-z0-9+/]/.test(body) || !isClean) {
    throw new InvalidValue("value_format", "bytes are written in base64 with padding (RFC 4648, section 4)");
  }
  return text;
}

export function checkDate(wire: unknown): string {
  const text = stringOf(wire, "a date");
  const parts = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/.exec(text);
  if (parts === null || !isDay(Number(parts[1]), Number(parts[2]), Number(parts[3]))) {
    throw new InvalidValue("value_format", "a date is a real day written YYYY-MM-DD, years 0001 to 9999");
  }
  return text;
}

const DATETIME =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?$/;

export function checkDatetime(wire: unknown): string {
  const parts = DATETIME.exec(stringOf(wire, "a datetime"));
  const [year, month, day, hour, minute, second] = (parts ?? []).slice(1, 7).map(Number) as [
    number, number, number, number, number, number,
  ]; // prettier-ignore
  const [fraction = "", sign = "+", offsetHours = "0", offsetMinutes = "0"] = (parts ?? []).slice(7);
  if (
    parts === null ||
    !isDay(year, month, day) ||
    Math.max(hour, Number(offsetHours)) > 23 ||
    Math.max(minute, second, Number(offsetMinutes)) > 59
  ) {
    throw new InvalidValue(
      "value_format",
      "a datetime is a real moment, YYYY-MM-DDTHH:MM:SS.ffffffZ or ISO 8601 with an offset",
    );
  }
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === "-" ? -1 : 1);
  const minutes = hour * 60 + minute - offset;
  const days = dayNumber(year, month, day) + Math.floor(minutes / MINUTES_PER_DAY);
  if (days < 0 || days >= DAYS) {
    throw new InvalidValue("value_range", "a datetime in UTC lies in the years 0001 to 9999");
  }
  const inDay = minutes - Math.floor(minutes / MINUTES_PER_DAY) * MINUTES_PER_DAY;
  const time = [Math.floor(inDay / 60), inDay % 60, second].map((part) => padded(part, 2)).join(":");
  return `${dateText(days)}T${time}.${fraction.padEnd(6, "0")}Z`;
}

function isDay(year: number, month: number, day: number): boolean {
  return year > 0 && month > 0 && month < 13 && day > 0 && day <= daysInMonth(year, month);
}

function daysInMonth(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days since 0001-01-01 in the proleptic Gregorian calendar; years are counted from March, so that the leap day is last. */
function dayNumber(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const fromMarch = (month + 9) % 12;
  const leaps = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return y * 365 + leaps + Math.floor((fromMarch * 153 + 2) / 5) + day - 307;
}

/** The date of a day number: the year is guessed from the mean length of one and mended by at most one. */
function dateText(days: number): string {
  let year = Math.floor(days / 365.2425) + 1;
  if (dayNumber(year + 1, 1, 1) <= days) year++;
  if (dayNumber(year, 1, 1) > days) year--;
  let month = 1;
  while (month < 12 && dayNumber(year, month + 1, 1) <= days) month++;
  return [padded(year, 4), padded(month, 2), padded(days - dayNumber(year, month, 1) + 1, 2)].join("-");
}

function padded(number: number, digits: number): string {
  return String(number).padStart(digits, "0");
}

const DECIMAL = /^([+-]?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?)0*([0-9]+))?$/;

export function checkDecimal(wire: unknown): string {
  const parts = DECIMAL.exec(stringOf(wire, "a decimal"));
  if (parts === null) {
    throw new InvalidValue("value_format", 'a decimal is written in digits with a point, such as "-12.50"');
  }
  const [, sign = "", whole = "", fraction = "", exponentSign = "", exponent = ""] = parts;
  const shift = Number(exponent) * (exponentSign === "-" ? -1 : 1);
  // Moves the point by writing zeros: arithmetic would lose the written scale.
  const point = Math.max(whole.length + shift, 1);
  const isShort = exponent.length <= MAX_EXPONENT_DIGITS;
  const digits = isShort ? ("0".repeat(point - whole.length - shift) + whole + fraction).padEnd(point, "0") : "";
  const before = digits.slice(0, point).replace(/^0+/, "") || "0";
  const behind = digits.slice(point);
  if (!isShort || before.length + behind.length > MAX_DECIMAL_DIGITS) {
    throw new InvalidValue("value_range", `a decimal has at most ${MAX_DECIMAL_DIGITS} digits without exponent`);
  }
  const minus = sign === "-" && /[1-9]/.test(digits) ? "-" : "";
  return minus + before + (behind && `.${behind}`);
}

/** Below 0, 0 or above 0 as the number of the canonical decimal `a` is smaller than, equal to or larger than that of `b`. */
export function compareDecimals(a: string, b: string): number {
  const isNegative = a.startsWith("-");
  if (isNegative !== b.startsWith("-")) return isNegative ? -1 : 1;
  if (isNegative) return compareDecimals(b.slice(1), a.slice(1));
  const [wholeA = "", fractionA = ""] = a.split(".");
  const [wholeB = "", fractionB = ""] = b.split(".");
  if (wholeA.length !== wholeB.length) return wholeA.length - wholeB.length;
  const size = Math.max(fractionA.length, fractionB.length);
  const digitsA = wholeA + fractionA.padEnd(size, "0");
  const digitsB = wholeB + fractionB.padEnd(size, "0");
  return digitsA === digitsB ? 0 : digitsA < digitsB ? -1 : 1;
}

const UUID = /^([0-9a-fA-F]{8})(-?)([0-9a-fA-F]{4})\2([0-9a-fA-F]{4})\2([0-9a-fA-F]{4})\2([0-9a-fA-F]{12})$/;

export function checkUuid(wire: unknown): string {
  const text = stringOf(wire, "a UUID");
  const inner = text.startsWith("{") && text.endsWith("}") ? text.slice(1, -1) : text;
  const parts = UUID.exec(inner);
  if (parts === null) {
    throw new InvalidValue("value_format", "a UUID is 32 hexadecimal digits in groups of 8-4-4-4-12");
  }
  return [parts[1], ...parts.slice(3)].join("-").toLowerCase();
}
