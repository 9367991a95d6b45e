// JSON text to wire values and back, where JSON.parse and JSON.stringify alone would change numbers (encoding.md, section
// 1.1): an integer beyond ±(2^53-1) is rounded by the one, and a double of that size loses its exponent in the other.
import type { Wire } from "../kernel/column";
import { isUnicode } from "../kernel/text";
import { numberText } from "../kernel/values";

/** A number of 16 digits or with an exponent of three: most texts have none, and JSON.parse is right about them. */
const SUSPECT_NUMBER = /(?:^|[[:,\s])-?(?:[0-9]{16}|[0-9.]+[eE]\+?0*[1-9][0-9]{2})/;
const SUSPECT_ESCAPE = /\\u[dD][89a-fA-F]/;
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]]|[^\s{}[\],:"]+/g;
const INTEGER = /^-?[0-9]+$/;

/**
 * The value of a JSON text. An integer beyond ±(2^53-1) becomes a bigint, so that it is refused and not rounded.
 *
 * Throws SyntaxError for anything that is not JSON, and for a number beyond all doubles.
 */
export function parse(text: string): Wire {
  const value = JSON.parse(text) as Wire;
  return SUSPECT_NUMBER.test(text) ? read((text.match(TOKEN) ?? []).values()) : value;
}

/** The same, but an escaped unpaired surrogate is a SyntaxError too: what crosses the wire is Unicode. */
export function parseUnicode(text: string): Wire {
  const value = parse(text);
  if (SUSPECT_ESCAPE.test(text) && !isUnicode(strings(value))) throw new SyntaxError("an unpaired surrogate");
  return value;
}

/** The JSON text of a value, members in their own order. */
export function write(value: Wire): string {
  // Most values hold no such number, and the engine's own writer is many times faster. It throws at a bigint.
  try {
    const text = JSON.stringify(value);
    if (!SUSPECT_NUMBER.test(text)) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return writeExactly(value);
}

function writeExactly(value: Wire): string {
  if (typeof value === "number") return numberText(value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item: Wire) => writeExactly(item)).join(",")}]`;
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}:${writeExactly(member)}`);
  return `{${members.join(",")}}`;
}

/** The next value of the tokens of a text that is known to be JSON: commas and colons tell nothing more. */
function read(tokens: Iterator<string>): Wire {
  return valueOf(next(tokens), tokens);
}

function next(tokens: Iterator<string>): string {
  return String(tokens.next().value);
}

function valueOf(token: string, tokens: Iterator<string>): Wire {
  if (token === "[") {
    const items: Wire[] = [];
    for (let item = next(tokens); item !== "]"; item = next(tokens)) items.push(valueOf(item, tokens));
    return items;
  }
  if (token === "{") {
    const members: [string, Wire][] = [];
    for (let name = next(tokens); name !== "}"; name = next(tokens)) {
      members.push([JSON.parse(name) as string, read(tokens)]);
    }
    return Object.fromEntries(members);
  }
  const value = JSON.parse(token) as Wire;
  if (value === Infinity || value === -Infinity) throw new SyntaxError("a number beyond all doubles");
  return typeof value === "number" && !Number.isSafeInteger(value) && INTEGER.test(token) ? BigInt(token) : value;
}

/** Every string and name of a value, one after another. */
function strings(value: Wire): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return "";
  if (Array.isArray(value)) return value.map((item: Wire) => strings(item)).join(" ");
  return Object.entries(value)
    .map(([name, member]) => `${name} ${strings(member)}`)
    .join(" ");
}
