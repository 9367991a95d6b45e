// Whether this copy is the hub's: digests over what is confirmed (spec/merge.md, section 7).
import type { Wire } from "../kernel/column";
import { add, bucket, leaf, root, type Sums } from "../kernel/digest";
import { image } from "../protocol/messages";
import type { RowRecord } from "./file";
import { answer } from "./idb";
import { nameParts, type RowName } from "./tables";
import type { Work } from "./work";

const AT_ONCE = 500;

/** The root of the digest of every space, as this device has it confirmed. `hub`: its id. */
export async function rootsOf(work: Work, digestKey: Uint8Array): Promise<Map<string, string>> {
  const spaces = await work.spaces();
  const sums = new Map<string, Map<number, bigint>>([...spaces.keys()].map((name) => [name, new Map()]));
  const count = (space: string, table: string, key: string, life: number, stamps: string): void => {
    const of = sums.get(space);
    if (of === undefined || life % 2 === 0) return;
    const number = bucket(table, key);
    of.set(number, add(of.get(number) ?? 0n, leaf(digestKey, table, key, life, stamps)));
  };
  await eachRecord(work, (name, { space, confirmed }) => {
    if (confirmed !== null) count(space, ...nameParts(name), confirmed.life, confirmed.stamps);
  });
  for (const space of spaces.keys()) {
    for (const id of work.directory.ofSpace(space)) {
      const rows: readonly Wire[] = await work.directory.page(work.tx, id);
      for (const [table, at] of work.directory.counted(id)) {
        const user = work.tables.get(table);
        for (const place of at) {
          const [, life, values, stamps] = image(rows[place], "$");
          count(space, table, user.keyOf(values), life, stamps);
        }
      }
    }
  }
  return new Map([...sums].map(([space, of]: [string, Sums]) => [space, root(of)]));
}

/** All rows that stand alone, piece by piece. */
async function eachRecord(work: Work, take: (name: RowName, record: RowRecord) => void): Promise<void> {
  const store = work.tx.objectStore("row");
  for (let last = ""; ;) {
    const range = IDBKeyRange.lowerBound(last, true);
    const keys = answer(store.getAllKeys(range, AT_ONCE));
    const records = (await answer(store.getAll(range, AT_ONCE))) as RowRecord[];
    const names = (await keys) as RowName[];
    records.forEach((record, i) => {
      take(names[i] as RowName, record);
    });
    if (records.length < AT_ONCE) return;
    last = names.at(-1) as RowName;
  }
}
