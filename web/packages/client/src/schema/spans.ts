// Times of day and intervals as text: the forms that PostgreSQL gives back (spec/encoding.md, section 1.3).
import { InvalidValue } from "../kernel/values";

const TIME = /^([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9])(?:\.([0-9]{1,6}))?)?$/;
const NUMBER = "([+-]?[0-9]{1,19})";
const INTERVAL = new RegExp(
  `^P(?:${NUMBER}Y)?(?:${NUMBER}M)?(?:${NUMBER}W)?(?:${NUMBER}D)?` +
    `(?:T(?:${NUMBER}H)?(?:${NUMBER}M)?(?:([+-]?)([0-9]{1,19})(?:\\.([0-9]{1,6}))?S)?)?$`,
);
const MICROSECONDS = 1_000_000n;

/** Canonical text of a time of day: HH:MM:SS and the fraction without zeros at its end; throws InvalidValue. */
export function timeText(text: string): string {
  if (text === "24:00:00") return text;
  const parts = TIME.exec(text);
  if (parts === null) throw new InvalidValue("value_format", "a time is written HH:MM:SS or HH:MM:SS.ffffff");
  const fraction = (parts[4] ?? "").replace(/0+$/, "");
  return `${parts[1] as string}:${parts[2] as string}:${parts[3] ?? "00"}${fraction && `.${fraction}`}`;
}

/** Canonical text of an interval, such as P1Y2M3DT4H5M6.5S: months, days and seconds are three numbers of their own. */
export function intervalText(text: string): string {
  const parts = INTERVAL.exec(text);
  if (parts === null || text.endsWith("P") || text.endsWith("T")) {
    throw new InvalidValue(
      "value_format",
      "an interval is written as ISO 8601 durations are, such as P1Y2M3DT4H5M6.5S",
    );
  }
  const [years, months, weeks, days, hours, minutes] = [1, 2, 3, 4, 5, 6].map((group) => BigInt(parts[group] ?? 0));
  const part = BigInt(parts[8] ?? 0) * MICROSECONDS + BigInt((parts[9] ?? "").padEnd(6, "0"));
  const inMonths = (years as bigint) * 12n + (months as bigint);
  const inDays = (weeks as bigint) * 7n + (days as bigint);
  const micros =
    ((hours as bigint) * 3600n + (minutes as bigint) * 60n) * MICROSECONDS + (parts[7] === "-" ? -part : part);
  if (!isWithin(inMonths, 31n) || !isWithin(inDays, 31n) || !isWithin(micros, 63n)) {
    throw new InvalidValue("value_range", "an interval has months and days of 32 bits and microseconds of 64");
  }
  const dated = units([inMonths / 12n, "Y"], [inMonths % 12n, "M"], [inDays, "D"]);
  const timed = clockText(micros);
  return dated || timed ? `P${dated}${timed && `T${timed}`}` : "PT0S";
}

/** Hours, minutes and seconds, each with the sign of the whole. */
function clockText(micros: bigint): string {
  const [sign, rest] = micros < 0n ? ["-", -micros] : ["", micros];
  const [whole, part] = [rest / MICROSECONDS, rest % MICROSECONDS];
  const seconds = whole % 60n;
  const fraction = part && `.${String(part).padStart(6, "0").replace(/0+$/, "")}`;
  const large = [
    [whole / 3600n, "H"],
    [(whole / 60n) % 60n, "M"],
  ] as const;
  const text = large.map(([number, unit]) => (number ? `${sign}${String(number)}${unit}` : "")).join("");
  return text + (seconds || part ? `${sign}${String(seconds)}${fraction ? fraction : ""}S` : "");
}

function units(...parts: (readonly [bigint, string])[]): string {
  return parts.map(([number, unit]) => (number ? `${String(number)}${unit}` : "")).join("");
}

function isWithin(number: bigint, bits: bigint): boolean {
  return -(2n ** bits) <= number && number < 2n ** bits;
}
