// What text and JSON documents have in common: a CRDT of the Yjs family that merges by itself. State: [epoch, update];
// [1, ""] is kept as null. Specification: spec/documents.md. Python: merges/document.py.
import { hlcOf, stamp as stampText } from "../clock";
import { type Cell, type Column, defaultOf, type Wire } from "../column";
import { clientOf, Content, decoded, encoded } from "../documents/content";
import { readUpdate } from "../documents/update";
import { canonicalJson, InvalidValue, same } from "../values";
import { PENDING } from "./counter";
import { epochOf, laterStamp, newerOf } from "./epoch";
import type { Merge } from "./index";

export abstract class DocumentMerge implements Merge {
  readonly lossless = true;
  readonly decided = false;
  abstract readonly empty: Wire;
  protected abstract readonly isText: boolean;

  /** Bring the content to a plain value, by as few edits as tell what was meant. */
  protected abstract write(content: Content, value: Wire): void;

  /** The plain value; throws InvalidValue when it is none that the column can hold. */
  protected abstract read(column: Column, content: Content): Wire;

  initial(epoch: number): Wire {
    return [epoch, ""];
  }

  check(_column: Column, change: Wire): Wire {
    if (typeof change !== "string") {
      throw new InvalidValue("value_type", "the change of a document is an update in base64");
    }
    readUpdate(decoded(change), this.isText);
    return change;
  }

  difference(column: Column, oldValue: Wire, oldState: Wire, newValue: Wire): string {
    return this.edit(column, oldValue, oldState, newValue, "");
  }

  /** The change that `writer`, an origin, makes by writing `newValue`: a minimal edit. No writer: a default. */
  edit(column: Column, oldValue: Wire, oldState: Wire, newValue: Wire, writer: string): string {
    const state = oldState === null && same(oldValue, this.empty) ? this.initial(1) : oldState;
    const epoch = String(epochOf(state));
    const client = writer === "" ? clientOf("default", canonicalJson(newValue)) : clientOf("writer", writer, epoch);
    const content = this.open(column, { value: oldValue, stamp: state === null ? null : "", state }, client);
    // What this transaction alone adds and deletes: since a state vector, all deletions there ever were would go too.
    let update: Uint8Array = Uint8Array.of(0, 0);
    content.doc.on("update", (made) => {
      update = made;
    });
    content.doc.transact(() => {
      this.write(content, newValue);
    });
    return encoded(update);
  }

  /** The content of a cell, ready to be changed by `client`. */
  open(column: Column, cell: Cell, client = 0): Content {
    const content = new Content(this.isText);
    const value = defaultOf(column, this.empty);
    if (cell.state !== null) content.load((cell.state as [number, string])[1]);
    else if (cell.stamp === null && !same(value, this.empty)) {
      content.load(this.difference(column, this.empty, null, value));
    }
    // Only now: yjs takes another client when it reads of its own in an update.
    content.doc.clientID = client;
    return content;
  }

  apply(column: Column, cell: Cell, change: Wire, stamp: string, _dot: string, hub: string): Cell {
    const content = this.open(column, cell);
    try {
      content.apply(decoded(change as string));
    } catch (problem) {
      const isGap = problem instanceof InvalidValue && problem.code === "document_gap";
      if (hub !== PENDING || !isGap) throw problem;
    }
    return this.cellOf(column, content, epochOf(cell.state), laterStamp(cell, stamp));
  }

  join(column: Column, a: Cell, b: Cell): Cell {
    const newer = newerOf(a, b);
    if (newer !== undefined) return newer;
    const content = this.open(column, a);
    if (b.state !== null) content.load((b.state as [number, string])[1]);
    return this.cellOf(column, content, epochOf(a.state), laterStamp(a, b.stamp ?? ""));
  }

  /** The cell after several updates at once: what a patch brings; throws InvalidValue. */
  extended(column: Column, cell: Cell, updates: readonly string[], stamp: string): Cell {
    const content = this.open(column, cell);
    for (const update of updates) content.apply(decoded(update));
    return this.cellOf(column, content, epochOf(cell.state), stamp);
  }

  private cellOf(column: Column, content: Content, epoch: number, latest: string): Cell {
    const [value, state] = [this.read(column, content), content.state()];
    const stamp = stampText(hlcOf(latest), content.name());
    return { value, stamp, state: epoch === 1 && state === "" ? null : [epoch, state] };
  }
}
