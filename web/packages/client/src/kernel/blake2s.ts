// BLAKE2s with 16 bytes of output, keyed or not: RFC 7693. Synchronous and ours, because Web Crypto has neither this
// hash nor a synchronous call. Python has it in hashlib.

const BLOCK = 64;
const DIGEST = 16;

// prettier-ignore
const IV = Int32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);

/** The message words of each of the ten rounds (RFC 7693, section 2.7), one hexadecimal digit each. */
const SIGMA = [
  "0123456789abcdef",
  "ea489fd61c02b753",
  "b8c052fdae367194",
  "7931dcbe265a40f8",
  "905724afe1bc683d",
  "2c6a0b834d75fe19",
  "c51fed4a0763928b",
  "db7ec13950f4862a",
  "6fe9b308c2d714a5",
  "a2847615fb9e3cd0",
].map((round) => Array.from(round, (digit) => parseInt(digit, 16)));

/** The four words that each of the eight mixes of a round works on: columns, then diagonals. */
const LANES = ["048c", "159d", "26ae", "37bf", "05af", "16bc", "278d", "349e"].map((lane) =>
  Array.from(lane, (digit) => parseInt(digit, 16)),
) as [number, number, number, number][];

/** The 16 bytes of the hash of `message`, keyed with `key` (at most 32 bytes) unless that is empty. */
export function blake2s(message: Uint8Array, key: Uint8Array = new Uint8Array(0)): Uint8Array {
  const head = key.length > 0 ? BLOCK : 0;
  const total = head + message.length;
  const padded = new Uint8Array(Math.max(1, Math.ceil(total / BLOCK)) * BLOCK);
  padded.set(key);
  padded.set(message, head);
  const view = new DataView(padded.buffer);
  const state = Int32Array.from(IV);
  state[0] = at(state, 0) ^ 0x01010000 ^ (key.length << 8) ^ DIGEST;
  for (let offset = 0; offset < padded.length; offset += BLOCK) {
    const isLast = offset + BLOCK >= padded.length;
    compress(state, view, offset, isLast ? total : offset + BLOCK, isLast);
  }
  const digest = new DataView(new ArrayBuffer(DIGEST));
  for (let i = 0; i < DIGEST / 4; i++) digest.setInt32(i * 4, at(state, i), true);
  return new Uint8Array(digest.buffer);
}

/** Mix the block at `offset` into `state`; `count`: bytes hashed so far (far below 2^53). */
function compress(state: Int32Array, view: DataView, offset: number, count: number, isLast: boolean): void {
  const v = new Int32Array(16);
  v.set(state);
  v.set(IV, 8);
  v[12] = at(v, 12) ^ count;
  v[13] = at(v, 13) ^ Math.floor(count / 2 ** 32);
  if (isLast) v[14] = ~at(v, 14);
  for (const round of SIGMA) {
    for (let i = 0; i < 8; i++) {
      const [a, b, c, d] = LANES[i] as [number, number, number, number];
      const x = view.getInt32(offset + (round[2 * i] as number) * 4, true);
      const y = view.getInt32(offset + (round[2 * i + 1] as number) * 4, true);
      mix(v, a, b, c, d, x, 16, 12);
      mix(v, a, b, c, d, y, 8, 7);
    }
  }
  for (let i = 0; i < 8; i++) state[i] = at(state, i) ^ at(v, i) ^ at(v, i + 8);
}

/** Half of the function G (RFC 7693, section 3.1): one message word, two rotations. */
function mix(v: Int32Array, a: number, b: number, c: number, d: number, word: number, first: number, second: number) {
  v[a] = at(v, a) + at(v, b) + word;
  v[d] = rotate(at(v, d) ^ at(v, a), first);
  v[c] = at(v, c) + at(v, d);
  v[b] = rotate(at(v, b) ^ at(v, c), second);
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function at(words: Int32Array, index: number): number {
  return words[index] as number;
}
