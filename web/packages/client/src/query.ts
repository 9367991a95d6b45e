// Queries as an application writes them: `db.submission.where({ project_id: "42" }).orderBy("due").all()`.
import { HoldfastError } from "./errors";
import type { Wire } from "./kernel/column";
import type { Device, Message } from "./replica/device";
import { type Condition, count, select, type Selection } from "./replica/select";
import type { UserTable } from "./replica/tables";
import { watch } from "./replica/watching";
import type { Work } from "./replica/work";
import { appRow, checked } from "./replica/writing";
import type { Column } from "./schema/compile";

/** Between values, with (`from`, `to`) or without (`above`, `below`) them; null is in no range. */
export interface Range<Value> {
  readonly from?: Value;
  readonly above?: Value;
  readonly to?: Value;
  readonly below?: Value;
}

/** One of several values. */
export interface OneOf<Value> {
  readonly in: readonly Value[];
}

/** What the columns of the wanted rows are. */
export type Where<Row> = {
  readonly [Name in keyof Row]?: Row[Name] | Range<NonNullable<Row[Name]>> | OneOf<Row[Name]>;
};

/** Who runs a query: the device, or the transaction that it belongs to. */
export type Run = <T>(body: (work: Work) => Promise<T>) => Promise<T>;

const MEMBERS = new Set(["in", "from", "above", "to", "below"]);

/** Rows of one table. A query never changes: each method gives another one. */
export class Query<Row> {
  constructor(
    private readonly device: Device,
    private readonly run: Run,
    private readonly table: string,
    private readonly selection: Selection,
  ) {}

  /** Only rows of which this holds, too. */
  where(where: Where<Row>): Query<Row> {
    const user = this.device.tables.get(this.table);
    const conditions = Object.entries(where).map(([name, value]) => conditionOf(user, name, value));
    return this.with({ conditions: [...this.selection.conditions, ...conditions] });
  }

  /** In the order of a column, after those that were named before; rows that are equal there in the order of keys. */
  orderBy(column: keyof Row & string, direction: "up" | "down" = "up"): Query<Row> {
    const by = { column: columnOf(this.device.tables.get(this.table), column), down: direction === "down" };
    return this.with({ order: [...this.selection.order, by] });
  }

  /** At most so many. */
  limit(limit: number): Query<Row> {
    return this.with({ limit });
  }

  /** Without the first ones. */
  offset(offset: number): Query<Row> {
    return this.with({ offset });
  }

  /** The rows. */
  async all(): Promise<Row[]> {
    return this.run(async (work) => {
      const user = work.tables.get(this.table);
      const found = await select(work, user, this.selection);
      return found.map(({ key, cells }) => appRow(user, key, cells) as Row);
    });
  }

  /** The first row, or null. */
  async first(): Promise<Row | null> {
    return (await this.limit(1).all())[0] ?? null;
  }

  /** How many rows there are. */
  async count(): Promise<number> {
    return this.run((work) => count(work, work.tables.get(this.table), this.selection));
  }

  /**
   * Call `told` with the rows now and after every change of the table, in whichever tab, until the function that this
   * gives is called. Changes that come while the rows are read are told of together.
   */
  watch(told: (rows: Row[]) => void, failed?: (error: unknown) => void): () => void {
    const concerns = (message: Message): boolean => message.type === "changed" && message.tables.includes(this.table);
    return watch(this.device, () => this.all(), concerns, told, failed);
  }

  private with(changes: Partial<Selection>): Query<Row> {
    return new Query(this.device, this.run, this.table, { ...this.selection, ...changes });
  }
}

function columnOf(user: UserTable, name: string): Column {
  const found = user.table.columns.find((column) => column.name === name);
  if (found !== undefined) return found;
  const known = user.table.columns.map((column) => column.name).join(", ");
  throw new HoldfastError("unknown_column", `${user.table.name} has no column ${name}; it has ${known}`, {
    column: name,
  });
}

function conditionOf(user: UserTable, name: string, value: unknown): Condition {
  const column = columnOf(user, name);
  const wire = (given: unknown): Wire => (given === null ? null : checked(user, column, given));
  const isPlain = value === null || typeof value !== "object" || Array.isArray(value) || value instanceof Uint8Array;
  const names = isPlain ? [] : Object.keys(value);
  if (isPlain || column.type === "json" || names.length === 0 || !names.every((member) => MEMBERS.has(member))) {
    return { column, in: [wire(value)] };
  }
  const given = value as Partial<Range<unknown> & OneOf<unknown>>;
  if (given.in !== undefined) return { column, in: given.in.map(wire) };
  return { column, ...Object.fromEntries(Object.entries(given).map(([member, bound]) => [member, wire(bound)])) };
}
