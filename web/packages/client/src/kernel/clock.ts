// The hybrid logical clock, and the stamps made of it.
//
// Algorithm: Kulkarni, Demirbas, Madappa, Avva, Leone, Logical Physical Clocks, 2014. 53 bits: 41 of milliseconds since
// 2020-01-01 UTC, 12 of counter; the counter runs over into the milliseconds by plain addition. Specification:
// spec/encoding.md, section 3. No function reads a clock or throws because of one.

/** 2020-01-01T00:00:00Z in Unix milliseconds: subtract it from a Unix time to get the `ms` used here. */
export const EPOCH_MS = 1_577_836_800_000;
export const MAX_MS = 2 ** 41 - 1;
export const MAX_HLC = 2 ** 53 - 1;
export const STAMP_LENGTH = 27;

const COUNTS = 4096;
const HLC_DIGITS = 14;
const STAMP = /^[01][0-9a-f]{13}-[0-9a-f]{12}$/;
const ORIGIN = /^[0-9a-f]{12}$/;

/** The HLC of `ms` (milliseconds since 2020, 0 .. 2^41-1) and `counter` (0 .. 4095). */
export function pack(ms: number, counter: number): number {
  return ms * COUNTS + counter;
}

/** [milliseconds since 2020, counter] of an HLC. */
export function unpack(hlc: number): [number, number] {
  return [Math.floor(hlc / COUNTS), hlc % COUNTS];
}

/** The HLC of a physical time in whole milliseconds since 2020; 0 for one before 2020 or beyond 41 bits: it is ignored. */
export function wall(ms: number): number {
  return ms >= 0 && ms <= MAX_MS ? pack(ms, 0) : 0;
}

/**
 * The HLC of the next event after `lastHlc` at the physical time `wallMs` (whole milliseconds since 2020).
 *
 * Strictly greater than `lastHlc`, whatever the physical clock does. To receive a remote HLC, pass the greater of both
 * as `lastHlc`. At 2^53-1 (the year 2089) it stays there, because no larger number is exact in JSON.
 */
export function tick(lastHlc: number, wallMs: number): number {
  return Math.min(Math.max(lastHlc + 1, wall(wallMs)), MAX_HLC);
}

/** The stamp of an HLC and an origin, 27 characters; stamps order as text like (hlc, origin). */
export function stamp(hlc: number, origin: string): string {
  return `${hlc.toString(16).padStart(HLC_DIGITS, "0")}-${origin}`;
}

/** The first stamp of `origin` that is certainly later than the stamp `earlier`. */
export function after(earlier: string, origin: string): string {
  return stamp(Math.min(hlcOf(earlier) + 1, MAX_HLC), origin);
}

/** The HLC of a stamp. */
export function hlcOf(text: string): number {
  return parseInt(text.slice(0, HLC_DIGITS), 16);
}

/** The origin of a stamp. */
export function originOf(text: string): string {
  return text.slice(HLC_DIGITS + 1);
}

/** Whether `text` is a well-formed stamp with an HLC of at most 53 bits. */
export function isStamp(text: string): boolean {
  return STAMP.test(text);
}

/** Whether `text` is a well-formed origin: 12 lower-case hexadecimal digits. */
export function isOrigin(text: string): boolean {
  return ORIGIN.test(text);
}

/** An origin made of the lowest 48 bits of `randomBits`. */
export function newOrigin(randomBits: bigint): string {
  return BigInt.asUintN(48, randomBits).toString(16).padStart(12, "0");
}
