// The stamps of a row's cells as one short text.
//
// Specification: spec/encoding.md, section 3. Vectors: spec/vectors/stamps. Most rows were written once, by one insert,
// so the uniform case `S*n` is the one that is made fast.
import { isStamp, STAMP_LENGTH } from "./clock";
import { InvalidValue } from "./values";

/** Most cells of a row; a limit, so that a short text cannot ask for a huge list. */
export const MAX_SLOTS = 32_767;

/** The canonical text of the stamps by slot; null is a cell that was never written. */
export function encodeStamps(stamps: readonly (string | null)[]): string {
  let size = stamps.length;
  while (size > 0 && (stamps[size - 1] ?? null) === null) size--;
  const written = stamps.slice(0, size);
  const first = written[0];
  if (first === undefined) return "";
  if (first !== null && written.every((stamp) => stamp === first)) return `${first}*${size}`;
  const index = new Map<string, number>();
  const places = written.map((stamp) => {
    if (stamp === null) return "";
    const place = index.get(stamp) ?? index.size;
    index.set(stamp, place);
    return place;
  });
  return `${[...index.keys()].join(",")}:${places.join(".")}`;
}

/**
 * The stamps by slot of a canonical text; slots at the end that have no stamp are absent from the list.
 *
 * Throws InvalidValue (`value_format`) for a text that `encodeStamps` would not have written.
 */
export function decodeStamps(text: string): (string | null)[] {
  if (text === "") return [];
  if (text[STAMP_LENGTH] !== "*") return decodeMixed(text);
  const stamp = text.slice(0, STAMP_LENGTH);
  const count = text.slice(STAMP_LENGTH + 1);
  if (!isStamp(stamp) || !/^[1-9][0-9]{0,4}$/.test(count) || Number(count) > MAX_SLOTS) throw malformed();
  return new Array<string>(Number(count)).fill(stamp);
}

function decodeMixed(text: string): (string | null)[] {
  const colon = text.indexOf(":");
  const known = text.slice(0, Math.max(colon, 0)).split(",");
  const places = text.slice(colon + 1).split(".");
  if (colon < 0 || places.length > MAX_SLOTS || new Set(known).size !== known.length || !known.every(isStamp)) {
    throw malformed();
  }
  const meaning = new Map<string, string | null>(known.map((stamp, index) => [String(index), stamp]));
  const used = new Set(places);
  const hasGap = used.delete("");
  // Stamps are numbered by first use, and each is used.
  const inOrder = [...used].every((place, index) => place === String(index)) && used.size === known.length;
  if (!inOrder || places[places.length - 1] === "" || (known.length === 1 && !hasGap)) throw malformed();
  return places.map((place) => meaning.get(place) ?? null);
}

function malformed(): InvalidValue {
  return new InvalidValue("value_format", "row stamps are not in canonical form (spec/encoding.md, section 3)");
}
