// JSON that many edit at once: members of objects and elements of arrays merge path by path. Specification:
// spec/documents.md, section 5. Python: merges/json_document.py.
import type { Column, Wire } from "../column";
import type { Content } from "../documents/content";
import { library, type YArray, type YMap } from "../documents/library";
import { edits } from "../edit_script";
import { compareText } from "../text";
import { canonicalJson, check, type Members, membersOf, same } from "../values";
import { DocumentMerge } from "./document";

class JsonMerge extends DocumentMerge {
  readonly empty = {};
  protected readonly isText = false;

  protected write(content: Content, value: Wire): void {
    const [members, items] = [membersOf(value), Array.isArray(value) ? (value as readonly Wire[]) : undefined];
    const kind = members !== undefined ? "object" : items !== undefined ? "array" : "value";
    if (kind !== kindOf(content)) content.scalar.set("kind", kind);
    writeObject(content.object, members ?? {});
    writeArray(content.array, items ?? []);
    if (kind !== "value") content.scalar.delete("value");
    else if (!content.scalar.has("value") || !isLike(content.scalar.get("value"), value)) {
      content.scalar.set("value", value);
    }
  }

  protected read(column: Column, content: Content): Wire {
    const kind = kindOf(content);
    if (kind === "object") return column.accept(content.object.toJSON() as Wire);
    if (kind === "array") return column.accept(content.array.toJSON() as Wire);
    return column.accept(content.scalar.has("value") ? (content.scalar.get("value") as Wire) : {});
  }
}

export const jsonDocument = new JsonMerge();

/** Which root counts: "object", "array" or "value". */
function kindOf(content: Content): string {
  const kind = content.scalar.get("kind");
  return kind === "array" || kind === "value" ? kind : "object";
}

function isMap(node: unknown): node is YMap {
  return node instanceof library().Map;
}

function isArray(node: unknown): node is YArray {
  return node instanceof library().Array;
}

function isLike(node: unknown, value: Wire): boolean {
  return same((check("json", [node]) as Wire[])[0] ?? null, value);
}

/** A JSON value as the library takes it: objects and arrays become parts that merge by themselves. */
function prepared(value: Wire): unknown {
  const members = membersOf(value);
  if (members !== undefined) {
    const node = new (library().Map)();
    for (const name of Object.keys(members).sort(compareText)) node.set(name, prepared(members[name] ?? null));
    return node;
  }
  if (!Array.isArray(value)) return value;
  const node = new (library().Array)();
  node.push((value as readonly Wire[]).map(prepared));
  return node;
}

function writeObject(node: YMap, value: Members): void {
  for (const name of [...node.keys()].sort(compareText)) if (!Object.hasOwn(value, name)) node.delete(name);
  for (const name of Object.keys(value).sort(compareText)) {
    const item = value[name] ?? null;
    if (!node.has(name) || !entered(node.get(name), item)) node.set(name, prepared(item));
  }
}

function writeArray(node: YArray, value: readonly Wire[]): void {
  const old = (check("json", node.toJSON()) as Wire[]).map(canonicalJson);
  for (const [start, end, first, last] of edits(old, value.map(canonicalJson), 0).reverse()) {
    const isPaired = end - start === last - first;
    for (let place = end - 1; place >= start; place--) {
      const item = isPaired ? (value[first + place - start] as Wire) : null;
      if (isPaired && entered(node.get(place), item)) continue;
      node.delete(place, 1);
      if (isPaired) node.insert(place, [prepared(item)]);
    }
    if (!isPaired) node.insert(start, value.slice(first, last).map(prepared));
  }
}

/** Bring what stands there to `value` from the inside, if both are objects or both arrays or they are equal. */
function entered(node: unknown, value: Wire): boolean {
  const members = membersOf(value);
  if (isMap(node) && members !== undefined) writeObject(node, members);
  else if (isArray(node) && Array.isArray(value)) writeArray(node, value as readonly Wire[]);
  else return !isMap(node) && !isArray(node) && isLike(node, value);
  return true;
}
