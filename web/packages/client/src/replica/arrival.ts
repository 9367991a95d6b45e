// What the hub sends, checked before it is kept: a page that cannot be applied must not stand in the way of later ones.
//
// The hub has checked every value; here is what tells an answer of a hub from something else, or from a damaged one, at
// little cost: the JSON types, keys, stamps, and the shape of states.
import { HoldfastError } from "../errors";
import type { Wire } from "../kernel/column";
import { documentOf } from "../kernel/merges/index";
import { decodeStamps } from "../kernel/stamps";
import { InvalidValue } from "../kernel/values";
import type { Image, Page } from "../protocol/messages";
import type { Column } from "../schema/compile";
import type { UserTable, UserTables } from "./tables";

const KINDS: Readonly<Record<string, (value: Wire) => boolean>> = {
  int: (value) => typeof value === "number" && Number.isSafeInteger(value),
  float: (value) => typeof value === "number",
  bool: (value) => typeof value === "boolean",
  set: (value) => Array.isArray(value),
  json: () => true,
};
const STATE_LENGTHS: Readonly<Record<string, number>> = {
  counter: 2, set: 3, grow_set: 1, earliest: 1, latest: 1, text: 2, json: 2, merge_text: 3,
}; // prettier-ignore

/** The error for an answer that no hub gives. */
export function malformed(reason: string, details: Readonly<Record<string, unknown>> = {}): HoldfastError {
  return new HoldfastError("response_malformed", `the hub sent a row that cannot be taken: ${reason}`, details);
}

/** What fails inside because of what the hub sent is thrown as `response_malformed`. */
export function contentOfHub<T>(take: () => T): T {
  try {
    return take();
  } catch (error) {
    if (error instanceof InvalidValue || error instanceof TypeError || error instanceof RangeError) {
      throw malformed(error.message);
    }
    throw error;
  }
}

/** Throws `response_malformed` unless every row of the page can be one of ours, or of a version that is not ours. */
export function checkPage(tables: UserTables, page: Page): void {
  contentOfHub(() => {
    for (const image of page.rows) {
      const user = tables.find(image[0]);
      if (user !== undefined) checkImage(user, image);
      else if (!tables.isForeign(image[0])) throw malformed(`of the unknown table ${image[0]}`, { table: image[0] });
    }
  });
}

function checkImage(user: UserTable, image: Image): void {
  const [, life, values, stamps, states, slots] = image;
  const keys = user.table.key.length;
  user.table.key.forEach((column, place) => {
    checkValue(user, column, values[place] ?? null, false);
  });
  user.keyOf(values);
  if (decodeStamps(stamps).length > user.width) throw new TypeError(`too many stamps for ${user.table.name}`);
  if (slots !== null) {
    const isRising = slots.every((slot, place) => place === 0 || slot > (slots[place - 1] as number));
    if (life % 2 === 0 || !isRising || values.length !== keys + slots.length) {
      throw new TypeError(`a patch of ${user.table.name} has a wrong shape`);
    }
    slots.forEach((slot, place) => {
      const column = user.columnAt(slot);
      // A patch says of a document what was added to it.
      if (column !== null && documentOf(column) === undefined) checkValue(user, column, values[keys + place] ?? null);
    });
  } else if (life % 2 === 1) {
    if (values.length > keys + user.width) throw new TypeError(`a row of ${user.table.name} has too many values`);
    for (let place = keys; place < values.length; place++) {
      const column = user.columnAt(place - keys);
      if (column !== null) checkValue(user, column, values[place] ?? null);
    }
  }
  for (const [slot, state] of Object.entries(states)) checkState(user, Number(slot), state);
}

function checkValue(user: UserTable, column: Column, value: Wire, nullable = column.nullable): void {
  if (value === null && nullable) return;
  const isRight = KINDS[column.type]?.(value) ?? (typeof value === "string" && !value.includes("\0"));
  if (!isRight) throw new TypeError(`${user.table.name}.${column.name} has a value of another type`);
}

/** The shape of a merge state, deep enough for the kernel to read it. */
function checkState(user: UserTable, slot: number, state: Wire): void {
  const column = user.columnAt(slot);
  if (column === null && slot < user.width) return;
  const wanted = column === null ? undefined : STATE_LENGTHS[column.merge];
  const isRight = Array.isArray(state) && state.length === wanted && Number.isSafeInteger((state as Wire[])[0]);
  if (!isRight) throw new TypeError(`a row of ${user.table.name} has a state of a wrong shape`);
}
