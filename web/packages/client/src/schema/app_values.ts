// What an application reads and writes in place of wire values: bigint for 64-bit integers, Uint8Array for bytes. All
// others are the same: text, numbers, booleans, JSON, and moments, dates and decimals as their canonical text.
import type { Wire } from "../kernel/column";
import { InvalidValue } from "../kernel/values";

/** A value of a column in the hands of an application. */
export type AppValue = Wire | bigint | Uint8Array | readonly (bigint | Uint8Array | Wire)[];

/** The wire value for what an application gives: not yet checked, that is `Column.accept`. */
export function wireOf(type: string, value: unknown, element = ""): Wire {
  if (type === "set" && (Array.isArray(value) || value instanceof Set)) {
    return [...(value as Iterable<unknown>)].map((item) => wireOf(element, item));
  }
  if (type === "bigint" && typeof value === "bigint") return String(value);
  if (type === "bytes" && value instanceof Uint8Array) return base64Of(value);
  if (value === undefined) throw new InvalidValue("value_type", "undefined is no value; give null, or leave it out");
  return value as Wire;
}

/** What an application gets for a wire value. */
export function appValueOf(type: string, wire: Wire, element = ""): AppValue {
  if (wire === null) return null;
  if (type === "set") return (wire as readonly Wire[]).map((item) => appValueOf(element, item) as bigint | Uint8Array);
  if (type === "bigint") return BigInt(wire as string);
  return type === "bytes" ? bytesOf(wire as string) : wire;
}

const CHUNK = 0x8000; // as many arguments as every engine takes

function base64Of(bytes: Uint8Array): string {
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK) parts.push(String.fromCharCode(...bytes.subarray(at, at + CHUNK)));
  return btoa(parts.join(""));
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
