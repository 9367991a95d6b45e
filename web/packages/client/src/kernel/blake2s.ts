// BLAKE2s with 16 bytes of output, keyed or not: RFC 7693. Synchronous and ours, because Web Crypto has neither this
// hash nor a synchronous call. Python has it in hashlib.

const BLOCK = 64;
const DIGEST = 16;

// prettier-ignore
const IV = Int32Array.of(
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
);

/** The message words of each of the ten rounds (RFC 7693, section 2.7), one hexadecimal digit each. */
const SIGMA = digits(
  "0123456789abcdef" +
    "ea489fd61c02b753" +
    "b8c052fdae367194" +
    "7931dcbe265a40f8" +
    "905724afe1bc683d" +
    "2c6a0b834d75fe19" +
    "c51fed4a0763928b" +
    "db7ec13950f4862a" +
    "6fe9b308c2d714a5" +
    "a2847615fb9e3cd0",
);

/** The four words that each of the eight mixes of a round works on: columns, then diagonals. */
const LANES = digits("048c159d26ae37bf05af16bc278d349e");

// Scratch space: a hash is made in one go, so nobody else can need it meanwhile.
const v = new Int32Array(16);
const words = new Int32Array(16);

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
  v.set(state);
  v.set(IV, 8);
  v[12] = at(v, 12) ^ count;
  v[13] = at(v, 13) ^ Math.floor(count / 2 ** 32);
  if (isLast) v[14] = ~at(v, 14);
  for (let i = 0; i < 16; i++) words[i] = view.getInt32(offset + i * 4, true);
  for (let i = 0; i < SIGMA.length; i += 2) {
    mix((2 * i) & 31, at(words, at(SIGMA, i)), at(words, at(SIGMA, i + 1)));
  }
  for (let i = 0; i < 8; i++) state[i] = at(state, i) ^ at(v, i) ^ at(v, i + 8);
}

/** The function G (RFC 7693, section 3.1) on the four words that LANES names from `lane` on. */
function mix(lane: number, x: number, y: number): void {
  const i = at(LANES, lane);
  const j = at(LANES, lane + 1);
  const k = at(LANES, lane + 2);
  const l = at(LANES, lane + 3);
  let a = (at(v, i) + at(v, j) + x) | 0;
  let d = rotate(at(v, l) ^ a, 16);
  let c = (at(v, k) + d) | 0;
  let b = rotate(at(v, j) ^ c, 12);
  a = (a + b + y) | 0;
  d = rotate(d ^ a, 8);
  c = (c + d) | 0;
  b = rotate(b ^ c, 7);
  v[i] = a;
  v[j] = b;
  v[k] = c;
  v[l] = d;
}

function rotate(word: number, bits: number): number {
  return (word >>> bits) | (word << (32 - bits));
}

function at(numbers: Int32Array | Uint8Array, index: number): number {
  return numbers[index] as number;
}

function digits(text: string): Uint8Array {
  return Uint8Array.from(text, (digit) => parseInt(digit, 16));
}
