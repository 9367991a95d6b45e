// Where the cells of this device's version of a table stand in the rows of the hub, which hold those of all versions.
//
// Confirmed rows stand in the database in the hub's order, which never changes. The engine works in the device's own:
// first its own columns as they are declared, then the cells of which it has no column, whose stamps it keeps.
import type { Wire } from "../kernel/column";

export type Stamps = (string | null)[];

/** The order of one table. `names` are the hub's column names by slot ("": none of ours), `own` the device's. */
export class SlotOrder {
  private readonly ownOf: number[];
  private readonly hubOf: ReadonlyMap<number, number>;

  constructor(
    names: readonly string[],
    private readonly own: readonly string[],
  ) {
    let unknown = own.length;
    this.ownOf = names.map((name) => (own.includes(name) ? own.indexOf(name) : unknown++));
    this.hubOf = new Map(this.ownOf.map((mine, slot) => [mine, slot]));
  }

  /** The values of our columns, from those of a whole row of the hub, which may be short. */
  values(cells: readonly Wire[], defaults: readonly Wire[]): Wire[] {
    const found = [...defaults];
    cells.forEach((value, slot) => {
      const mine = this.ownSlot(slot);
      if (mine !== null) found[mine] = value;
    });
    return found;
  }

  /** Our slot for one of the hub's; null: we have no such column. */
  ownSlot(slot: number): number | null {
    const mine = this.ownOf[slot] ?? Infinity;
    return mine < this.own.length ? mine : null;
  }

  /** Stamps of the hub in our order. */
  ownStamps(stamps: readonly (string | null)[]): Stamps {
    const found: Stamps = [];
    stamps.forEach((stamp, slot) => {
      found[this.ownOf[slot] ?? slot] = stamp;
    });
    return Array.from(found, (stamp) => stamp ?? null);
  }

  /** Our stamps in the order of the hub; of a column that it does not have yet there is none. */
  hubStamps(stamps: readonly (string | null)[]): Stamps {
    return this.ownOf.map((mine) => stamps[mine] ?? null);
  }

  /** States of the hub, by slot, in our order. */
  ownStates(states: ReadonlyMap<number, Wire>): Map<number, Wire> {
    return new Map([...states].map(([slot, state]) => [this.ownOf[slot] ?? slot, state]));
  }

  /** Our states, by slot, in the order of the hub. */
  hubStates(states: ReadonlyMap<number, Wire>): Map<number, Wire> {
    return new Map(
      [...states].flatMap(([mine, state]) => {
        const slot = this.hubOf.get(mine);
        return slot === undefined ? [] : [[slot, state] as const];
      }),
    );
  }
}
