// What crosses the wire, as types: spec/protocol.md, and spec/encoding.md sections 5 and 6.
//
// Decoding is strict in the members it knows and ignores those it does not. All times are milliseconds since 2020-01-01
// UTC. Members at their default (empty, 0, false, null) are filled in when read and left out when written.
import { isOrigin, isStamp, STAMP_LENGTH } from "../kernel/clock";
import type { Wire } from "../kernel/column";
import { MAX_SLOTS } from "../kernel/stamps";
import { kindOf } from "../kernel/values";
import { anything, boolean, integer, list, map, nullable, oneOf, optional, struct, text, wrong } from "./shapes";
import type { Shape, Shaped } from "./shapes";

export const PROTOCOL = 1;
export const MAX_REQUEST = 16 * 1024 * 1024;
export const MAX_TRANSACTIONS = 20_000;
/** So many rows may be asked after in one request. */
const MAX_HISTORY = 100;
export const MAX_COMPARED = 10_000;
const MAX_RESTORED = 10_000;
export const MAX_OPERATIONS = 100_000;

const origin = text(0, 12, isOrigin);
const stampText = text(0, STAMP_LENGTH, isStamp);
const count = integer(1);
const name = text(1, 63);
const spaceName = text(1, 200);
const cursor = text(1, 200);

const operation = {
  table: name,
  key: text(0, 1024),
  stamp: stampText,
  life: optional(integer(0), 0),
};
const changes = optional(map(anything), {});

const OPERATIONS = {
  insert: struct({ op: oneOf("insert"), ...operation, set: changes }),
  update: struct({ op: oneOf("update"), ...operation, set: changes, base: optional(map(stampText), {}) }),
  delete: struct({ op: oneOf("delete"), ...operation, base: optional(text(), "") }),
};
const kindOfOperation = struct({ op: oneOf("insert", "update", "delete") });

/** One change of one row by one writer. */
export const anyOperation: Shape<Insert | Update | Delete> = (wire, path) =>
  OPERATIONS[kindOfOperation(wire, path).op](wire, path);

/** The operations of one local transaction, named `(origin, n)`. `withdrawn`: the device takes it back, without any. */
export const transaction = struct({
  origin,
  n: count,
  ops: list(anyOperation, MAX_OPERATIONS),
  label: optional(text(0, 200), ""),
  withdrawn: optional(boolean, false),
});

const acknowledgement: Shape<readonly [string, number]> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length !== 2) throw wrong(path, "[origin, n]");
  const [named, n] = wire as Wire[];
  return [origin(named, path), count(n, path)];
};

/**
 * A row in wire form: table, life, key values and then values by slot, row stamps, states by slot. A patch names the
 * slots that it has values for; a whole row has null there.
 */
export type Image = readonly [
  table: string,
  life: number,
  values: readonly Wire[],
  stamps: string,
  states: Readonly<Record<string, Wire>>,
  slots: readonly number[] | null,
];

export const image: Shape<Image> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length < 4)
    throw wrong(path, `[table, life, values, stamps], found ${kindOf(wire)}`);
  const [table, life, values, stamps, states, slots] = wire as Wire[];
  // Most rows are like this, and there are many: nothing is made for them but what is kept.
  if (
    typeof table === "string" &&
    Number.isSafeInteger(life) &&
    (life as number) >= 0 &&
    Array.isArray(values) &&
    typeof stamps === "string" &&
    wire.length === 4
  ) {
    return [table, life as number, values as Wire[], stamps, {}, null];
  }
  return [
    text()(table, `${path}[0]`),
    integer(0)(life, `${path}[1]`),
    list(anything)(values, `${path}[2]`),
    text()(stamps, `${path}[3]`),
    optional(map(anything), {})(states, `${path}[4]`),
    nullable(list(integer(0, MAX_SLOTS - 1)))(slots, `${path}[5]`),
  ];
};

const bucket = text(0, 4, (name) => /^(0|[1-9][0-9]{0,3})$/.test(name));
const tags = text(0, 400_000);

const rowName: Shape<readonly [string, string]> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length !== 2) throw wrong(path, "[table, key]");
  const [table, rowKey] = wire as Wire[];
  return [text(1, 63)(table, path), text(0, 1024)(rowKey, path)];
};

/** What a device asks of the digest of one space (spec/protocol.md, section 9); nothing: the branches. */
export const compare = struct({
  turn: optional(integer(0, 3), 0),
  branches: optional(list(integer(0, 63), 64), []),
  parts: optional(map(tags, bucket), {}),
  rows: optional(map(tags, bucket), {}),
  names: optional(list(rowName, MAX_COMPARED), []),
});

/** What the hub says of the digest of a space, as asked. */
export const compared = struct({
  tags: optional(text(), ""),
  buckets: optional(map(text()), {}),
  rows: optional(map(map(text()), bucket), {}),
  images: optional(list(image), []),
  unknown: optional(list(rowName), []),
});

const want = struct({
  spaces: optional(map(integer(), spaceName), {}),
  without: optional(list(spaceName), []),
  only: optional(boolean, false),
  upload: optional(list(spaceName), []),
});

/** Whether anything is new for who holds this (`held` of kernel/digest), and `want` as in a request. */
export const shortRequest = struct({
  same: text(0, 24, (digits) => /^[0-9a-f]{24}$/.test(digits)),
  want: nullable(want),
});

/** Nothing is: the answer to a short request, with the hub's clock. */
export const shortAnswer = struct({ same: struct({ time: integer() }) });

/** The value, the stamp and, where there is one, the state of a cell. */
const cell: Shape<readonly Wire[]> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length < 2 || wire.length > 3) throw wrong(path, "[value, stamp] or with a state");
  return wire as Wire[];
};

/** A confirmed row that a hub has lost, as the device holds it (spec/protocol.md, section 16). */
const restored = struct({
  table: name,
  key: text(0, 1024),
  space: spaceName,
  life: integer(1),
  set: optional(map(cell), {}),
  seen: optional(text(), ""),
});

/** One round, device to hub. */
export const request = struct({
  protocol: integer(),
  device: text(1, 64),
  schema: struct({ version: integer(1, 2 ** 31), hash: text(0, 64) }),
  clock: integer(),
  layout: optional(text(0, 64), ""),
  cursors: optional(map(text(0, 200), spaceName), {}),
  acknowledged: optional(list(acknowledgement), []),
  transactions: optional(list(transaction, MAX_TRANSACTIONS), []),
  limit: nullable(integer(1)),
  page: nullable(integer(1)),
  want: nullable(want),
  digests: optional(boolean, false),
  echo: optional(boolean, false),
  user: optional(text(0, 200), ""),
  compare: optional(map(compare, spaceName), {}),
  blocks: optional(map(origin, name), {}),
  history: optional(list(rowName, MAX_HISTORY), []),
  restore: optional(list(restored, MAX_RESTORED), []),
  sent: optional(map(count, origin), {}),
  whole: optional(boolean, false),
  image: optional(
    text(0, 64, (named) => /^(any|[0-9a-f]{64})?$/.test(named)),
    "",
  ),
});

/** What happened to a row, oldest first, as far as its reader may know. */
export const told = struct({ table: text(), key: text(), entries: list(map(anything)) });

/** The first and the last of a range of keys. */
const range: Shape<readonly [number, number]> = (wire, path) => {
  if (!Array.isArray(wire) || wire.length !== 2) throw wrong(path, "[first, last]");
  const [first, last] = wire as Wire[];
  return [integer()(first, path), integer()(last, path)];
};

/** What became of a transaction, when that is not plain. */
export const result = struct({
  origin: text(),
  n: integer(),
  outcome: oneOf("merged", "refused"),
  code: optional(text(), ""),
  message: optional(text(), ""),
  table: optional(text(), ""),
  key: optional(text(), ""),
  column: optional(text(), ""),
  details: optional(map(anything), {}),
});

/** The first load as one SQLite file: the SHA-256 of what is fetched, its bytes and those of the file in it, rows. */
const imageOffer = struct({
  name: text(0, 64, (named) => /^[0-9a-f]{64}$/.test(named)),
  size: integer(1),
  plain: integer(1),
  rows: integer(0),
});

/** First line of a response. */
export const header = struct({
  hub: origin,
  user: text(),
  live: optional(boolean, false),
  time: integer(),
  hlc: integer(0),
  spaces: map(oneOf("r", "rw"), spaceName),
  through: optional(map(integer(0), origin), {}),
  revoked: optional(list(text()), []),
  reset: optional(list(text()), []),
  behind: optional(list(text()), []),
  layout: nullable(struct({ hash: text(), tables: map(list(text())), keys: optional(map(integer(0)), {}) })),
  results: optional(list(result), []),
  ahead: optional(integer(0), 0),
  blocks: optional(map(struct({ ask: origin, ranges: list(range) }), name), {}),
  counts: nullable(origin),
  restored: optional(integer(0), 0),
  unrestored: optional(list(struct({ table: text(), key: text(), code: text(), message: text() })), []),
  image: nullable(imageOffer),
});

/** Rows of one space in feed order; `cursor` is the cursor after them. */
export const page = struct({ space: spaceName, cursor, rows: list(image), loaded: nullable(integer()) });

/** Last line of a response. */
export const footer = struct({
  more: boolean,
  cursors: optional(map(cursor, spaceName), {}),
  digests: optional(map(text()), {}),
  compared: optional(map(compared), {}),
  history: optional(list(told), []),
  totals: optional(map(text()), {}),
});

/** One line of a response: exactly one member is present. */
export const line = struct({ header: nullable(header), page: nullable(page), footer: nullable(footer) });

/** The body of a response whose status is 4xx or 5xx. */
export const errorBody = struct({ code: text(), message: text(), details: optional(map(anything), {}) });

export type Insert = Shaped<typeof OPERATIONS.insert>;
export type Update = Shaped<typeof OPERATIONS.update>;
export type Delete = Shaped<typeof OPERATIONS.delete>;
export type Transaction = Shaped<typeof transaction>;
export type Request = Shaped<typeof request>;
export type ShortRequest = Shaped<typeof shortRequest>;
export type ShortAnswer = Shaped<typeof shortAnswer>;
export type Compare = Shaped<typeof compare>;
export type Compared = Shaped<typeof compared>;
export type Result = Shaped<typeof result>;
export type Header = Shaped<typeof header>;
export type Page = Shaped<typeof page>;
export type Footer = Shaped<typeof footer>;
export type ErrorBody = Shaped<typeof errorBody>;
/** A line of a response under the name of its kind. */
export type Line =
  | { readonly kind: "header"; readonly header: Header }
  | { readonly kind: "page"; readonly page: Page }
  | { readonly kind: "footer"; readonly footer: Footer };
