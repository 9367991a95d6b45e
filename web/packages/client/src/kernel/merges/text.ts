// A text that many edit at once: every insertion and every deletion is kept, down to the character. Positions here are
// code points; Yjs counts UTF-16 units. Specification: spec/documents.md, section 4. Python: merges/text.py.
import type { Column, Wire } from "../column";
import type { Content } from "../documents/content";
import { edits } from "../edit_script";
import { DocumentMerge } from "./document";

class TextMerge extends DocumentMerge {
  readonly empty = "";
  protected readonly isText = true;

  protected write({ text: shown }: Content, value: Wire): void {
    const [from, to] = [Array.from(shown.toString()), Array.from(value as string)];
    for (const [start, end, first, last] of edits(from, to).reverse()) {
      const at = from.slice(0, start).join("").length;
      const removed = from.slice(start, end).join("").length;
      if (removed > 0) shown.delete(at, removed);
      if (last > first) shown.insert(at, to.slice(first, last).join(""));
    }
  }

  protected read(column: Column, content: Content): Wire {
    return column.accept(content.text.toString());
  }
}

export const text = new TextMerge();
