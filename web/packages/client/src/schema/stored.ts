// The limits that a column has in the hub's database, and the one form of a value there (spec/encoding.md, section 1.3).
// What this refuses the hub would refuse, so that nobody hears of it days later.
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import { lengthOf } from "../kernel/text";
import { check, InvalidValue } from "../kernel/values";
import { intervalText, timeText } from "./spans";

/** From a canonical wire value to the form that the database gives back; throws InvalidValue. */
export type Limiter = (wire: Wire) => Wire;

interface Stored {
  readonly base: string;
  readonly limits: readonly number[];
  readonly isArray: boolean;
  readonly text: string;
}

const FORM =
  /^(?<name>[a-z_][a-z0-9_. ]*?)(?:\((?<limits>[0-9]+(?:,[0-9]+)?)\))?(?<zone> with(?:out)? time zone)?(?<array>\[\])?$/;
const BITS: ReadonlyMap<string, bigint> = new Map([
  ["smallint", 15n],
  ["integer", 31n],
]);
const ELEMENTS: ReadonlyMap<string, string> = new Map([
  ["smallint", "int"],
  ["integer", "int"],
  ["bigint", "bigint"],
  ["numeric", "decimal"],
  ["real", "float"],
  ["double precision", "float"],
  ["boolean", "bool"],
  ["text", "text"],
  ["character varying", "text"],
  ["character", "text"],
  ["citext", "text"],
  ["uuid", "uuid"],
  ["date", "date"],
  ["time without time zone", "text"],
  ["timestamp without time zone", "datetime"],
  ["timestamp with time zone", "datetime"],
  ["interval", "text"],
  ["bytea", "bytes"],
]);

/** The limiter of a type as `format_type` writes it; null when the database takes and gives back every wire value. */
export function limiterOf(text: string): Limiter | null {
  const found = FORM.exec(text)?.groups;
  if (found === undefined) throw new HoldfastError("schema_invalid", `${text} is not the name of a type`);
  const limits = (found["limits"] ?? "").split(",").filter(Boolean).map(Number);
  const base = `${found["name"] as string}${found["zone"] ?? ""}`;
  return limiter({ base, limits, isArray: found["array"] !== undefined, text });
}

function limiter(stored: Stored): Limiter | null {
  const { base, limits, isArray } = stored;
  if (isArray) return array({ ...stored, isArray: false, text: stored.text.slice(0, -2) });
  const bits = BITS.get(base);
  if (bits !== undefined) return (wire) => whole(base, bits, wire);
  if (base === "real") return single;
  if (base === "numeric" && limits.length > 0) return (wire) => scaled(limits[0] ?? 0, limits[1] ?? 0, wire as string);
  if (base === "character") return (wire) => short("character", limits[0] ?? 1, (wire as string).replace(/ +$/, ""));
  if (base === "character varying" && limits.length > 0) {
    return (wire) => short("varchar", limits[0] ?? 0, wire as string);
  }
  if (base === "time without time zone") return (wire) => precise(stored, timeText(wire as string));
  if (base === "interval") return (wire) => precise(stored, intervalText(wire as string));
  return base.startsWith("timestamp") && limits.length > 0 ? (wire) => precise(stored, wire as string) : null;
}

function whole(base: string, bits: bigint, wire: Wire): Wire {
  const limit = 2n ** bits;
  const number = BigInt(wire as number | string);
  if (number >= -limit && number < limit) return wire;
  throw new InvalidValue("value_range", `${base} holds ${String(-limit)} to ${String(limit - 1n)}`);
}

/** The double that is exactly the nearest single. */
function single(wire: Wire): number {
  const rounded = Math.fround(wire as number) + 0; // no negative zero
  if (Number.isFinite(rounded)) return rounded;
  throw new InvalidValue("value_range", "the number is beyond the range of real");
}

function scaled(precision: number, scale: number, value: string): string {
  const [integer = "", fraction = ""] = value.split(".");
  if (fraction.replace(/0+$/, "").length > scale) {
    throw new InvalidValue("value_range", `numeric(${precision},${scale}) holds ${scale} digits after the point`);
  }
  const digits = integer.replace(/^[-+]?0*/, "");
  if (
    digits.length > Math.max(0, precision - scale) ||
    (scale > precision && !fitsBehind(fraction, scale - precision, digits))
  ) {
    throw new InvalidValue("value_range", `${value} is too large for numeric(${precision},${scale})`);
  }
  return scale > 0 ? `${integer}.${fraction.slice(0, scale).padEnd(scale, "0")}` : integer;
}

/** numeric(2,4) holds less than 0.01: that many zeros follow the point. */
function fitsBehind(fraction: string, zeros: number, digits: string): boolean {
  return digits === "" && /^0*$/.test(fraction.slice(0, zeros));
}

function short(kind: string, length: number, text: string): string {
  if (lengthOf(text) <= length) return text;
  throw new InvalidValue("value_range", `${kind}(${length}) holds ${length} characters`);
}

/** The text, if its seconds have no more digits than the type keeps. */
function precise(stored: Stored, text: string): string {
  const fraction = /\.([0-9]+)/.exec(text)?.[1] ?? "";
  const [limit = Infinity] = stored.limits;
  if (fraction.replace(/0+$/, "").length <= limit) return text;
  throw new InvalidValue("value_range", `${stored.text} keeps ${limit} digits of a second; ${text} has more`);
}

function array(element: Stored): Limiter {
  const wire = ELEMENTS.get(element.base);
  if (wire === undefined) throw new HoldfastError("schema_invalid", `an array of ${element.text} is not supported`);
  const limit = limiter(element);
  const one = (value: Wire): Wire => {
    if (value === null) return null;
    const found = check(wire, value);
    return limit === null ? found : limit(found);
  };
  return (value) => {
    if (Array.isArray(value)) return check("json", (value as Wire[]).map(one));
    throw new InvalidValue("value_type", `expected an array of ${element.text} with one dimension`);
  };
}
