// Text is ordered by Unicode code point, as in Python and in the stores; JavaScript's own `<` compares UTF-16 units and
// puts an emoji before U+FF5E. Specification: spec/encoding.md, section 1.2.

/** Below 0, 0 or above 0 as `a` sorts before, with or after `b` by code point. */
export function compareText(a: string, b: string): number {
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return rank(unitA) - rank(unitB);
  }
  return a.length - b.length;
}

/** Whether the text is valid Unicode: it has no unpaired surrogate. */
export function isUnicode(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

/** The number of code points, which is what every limit on a length counts. */
export function lengthOf(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) count++;
  return count;
}

/** Surrogates stand for code points beyond U+FFFF, so their units go after all others. */
function rank(unit: number): number {
  return unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
