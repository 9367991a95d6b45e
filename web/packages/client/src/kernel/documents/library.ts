// The document library (yjs), given by the application that has documents: the core does not carry it.
import { HoldfastError } from "../../errors";

/** What is used of yjs; `import * as Y from "yjs"` has it. */
export interface DocumentLibrary {
  readonly Doc: new (options?: { gc?: boolean }) => YDoc;
  readonly Map: new () => YMap;
  readonly Array: new () => YArray;
  applyUpdate(doc: YDoc, update: Uint8Array): void;
  encodeStateAsUpdate(doc: YDoc, vector?: Uint8Array): Uint8Array;
  /** Takes a document; yjs takes more. */
  encodeStateVector(doc: never): Uint8Array;
  snapshot(doc: YDoc): Snapshot;
}

export interface Snapshot {
  readonly ds: { readonly clients: ReadonlyMap<number, readonly { readonly clock: number; readonly len: number }[]> };
  readonly sv: ReadonlyMap<number, number>;
}

export interface YDoc {
  clientID: number;
  getText(name: string): YText;
  getMap(name: string): YMap;
  getArray(name: string): YArray;
  transact(change: () => void): void;
  on(event: "update", told: (update: Uint8Array) => void): void;
}

export interface YText {
  insert(index: number, text: string): void;
  delete(index: number, length: number): void;
  toString(): string;
}

export interface YMap {
  keys(): IterableIterator<string>;
  has(name: string): boolean;
  get(name: string): unknown;
  set(name: string, value: unknown): unknown;
  delete(name: string): void;
  toJSON(): Record<string, unknown>;
}

export interface YArray {
  get(index: number): unknown;
  insert(index: number, items: unknown[]): void;
  push(items: unknown[]): void;
  delete(index: number, length: number): void;
  toJSON(): unknown[];
}

let given: DocumentLibrary | undefined;

/** Give the library once, before any document is touched: `useDocuments(Y)`. */
export function useDocuments(library: DocumentLibrary): void {
  given = library;
}

/** The library; throws HoldfastError `documents_unavailable` before it was given. */
export function library(): DocumentLibrary {
  if (given === undefined) {
    throw new HoldfastError("documents_unavailable", "documents need yjs: useDocuments(await import('yjs'))");
  }
  return given;
}
