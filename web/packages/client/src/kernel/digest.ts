// The hash tree over a space: equal roots mean equal rows, and unequal ones lead to the rows that differ.
//
// 4,096 buckets by hash of (table, key), 64 branches of 64 buckets, one root. A bucket is the sum of its rows' leaves
// modulo 2^128, so that a row is replaced without reading the others; a sum, because with XOR an attacker finds
// collisions by linear algebra (Bellare and Micciancio, A New Paradigm for Collision-free Hashing, 1997). Specification:
// spec/merge.md, section 7. Vectors: spec/vectors/digests.
import { blake2s } from "./blake2s";
import { compareText } from "./text";

export const BUCKETS = 4096;
export const BRANCHES = 64;
export const BUCKETS_PER_BRANCH = 64;
export const PARTS = 16;
export const TAG_BYTES = 4;

const BYTES = 16;
const utf8 = new TextEncoder();

/** bucket -> sum; empty buckets may be absent. */
export type Sums = ReadonlyMap<number, bigint>;

/** The bucket (0 .. 4095) of a row: the first 12 bits of the hash of its table and key. */
export function bucket(table: string, key: string): number {
  const [first = 0, second = 0] = blake2s(fields(table, key));
  return first * 16 + (second >> 4);
}

/** The part (0 .. 15) of its bucket in which a row lies: the next 4 bits of the same hash. */
export function part(table: string, key: string): number {
  const [, second = 0] = blake2s(fields(table, key));
  return second % PARTS;
}

/**
 * 4 of the 16 bytes of a hash or sum, big-endian: those of `turn` (0 .. 3). Two that differ may have one tag, but not in
 * every turn.
 */
export function tag(number: bigint, turn: number): Uint8Array {
  const bits = 8 * TAG_BYTES;
  const shown = new Uint8Array(TAG_BYTES);
  new DataView(shown.buffer).setUint32(0, Number(BigInt.asUintN(bits, number >> BigInt(bits * (3 - turn)))));
  return shown;
}

/** The 128-bit number of a row's state, hashed with `digestKey` (at most 32 bytes); `stamps` as in the image. */
export function leaf(digestKey: Uint8Array, table: string, key: string, life: number, stamps: string): bigint {
  return numberOf(blake2s(fields(table, key, String(life), stamps), digestKey));
}

/** The sum of a bucket with one more row. */
export function add(total: bigint, leafNumber: bigint): bigint {
  return BigInt.asUintN(8 * BYTES, total + leafNumber);
}

/** The sum of a bucket with one row less. */
export function sub(total: bigint, leafNumber: bigint): bigint {
  return BigInt.asUintN(8 * BYTES, total - leafNumber);
}

/** The sum of all leaves: of a space with one row more it is that of the space, plus one leaf. */
export function total(sums: Sums): bigint {
  return [...sums.values()].reduce(add, 0n);
}

/** The hash of branch `number` (0 .. 63): of the sums of its 64 buckets, 16 bytes each. An absent bucket is 0. */
export function branch(sums: Sums, number: number): bigint {
  const first = number * BUCKETS_PER_BRANCH;
  return numberOf(hashOf(Array.from({ length: BUCKETS_PER_BRANCH }, (_, i) => sums.get(first + i) ?? 0n)));
}

/** The hashes of the 64 branches. */
export function branches(sums: Sums): bigint[] {
  const empty = branch(new Map(), 0);
  const used = new Set([...sums.keys()].map((number) => Math.floor(number / BUCKETS_PER_BRANCH)));
  return Array.from({ length: BRANCHES }, (_, number) => (used.has(number) ? branch(sums, number) : empty));
}

/** The root as 32 hexadecimal digits: the hash of the 64 branches, 16 bytes each. */
export function root(sums: Sums): string {
  return hexadecimal(numberOf(hashOf(branches(sums))));
}

/** The hash of numbers of 128 bits, written big-endian one after the other. */
function hashOf(numbers: bigint[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(numbers.length * BYTES));
  numbers.forEach((number, i) => {
    view.setBigUint64(i * BYTES, number >> 64n);
    view.setBigUint64(i * BYTES + 8, BigInt.asUintN(64, number));
  });
  return blake2s(new Uint8Array(view.buffer));
}

function numberOf(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

function hexadecimal(number: bigint): string {
  return number.toString(16).padStart(2 * BYTES, "0");
}

/** Texts in UTF-8, each after its length in 4 bytes. */
/**
 * What a device holds, in 24 hexadecimal digits: whose hub and user it knows, its schema and layout, and by space its
 * access and its cursor ("" where it has none). Equal on a hub that has nothing new for it (spec/protocol.md, section
 * 11).
 */
export function held(
  hub: string,
  user: string,
  version: number,
  schemaHash: string,
  layout: string,
  spaces: ReadonlyMap<string, readonly [access: string, cursor: string]>,
): string {
  const named = [...spaces].sort(([a], [b]) => compareText(a, b)).flatMap(([name, holds]) => [name, ...holds]);
  return numberOf(blake2s(fields(hub, user, String(version), schemaHash, layout, ...named)))
    .toString(16)
    .padStart(2 * BYTES, "0")
    .slice(0, 24);
}

function fields(...texts: string[]): Uint8Array {
  // A UTF-16 unit takes at most 3 bytes.
  const bytes = new Uint8Array(texts.reduce((size, text) => size + 4 + 3 * text.length, 0));
  const view = new DataView(bytes.buffer);
  let size = 0;
  for (const text of texts) {
    const { written } = utf8.encodeInto(text, bytes.subarray(size + 4));
    view.setUint32(size, written);
    size += 4 + written;
  }
  return bytes.subarray(0, size);
}
