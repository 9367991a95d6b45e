// New keys and other numbers drawn by lot.

/** `bits` random bits; a multiple of 8. */
export function randomBits(bits: number): bigint {
  const bytes = crypto.getRandomValues(new Uint8Array(bits / 8));
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** A UUIDv7 (RFC 9562) of a Unix time in milliseconds: such keys sort by the time at which they were made. */
export function newId(now = Date.now()): string {
  const time = BigInt.asUintN(48, BigInt(now));
  const random = randomBits(80);
  const high = (time << 16n) | 0x7000n | (random >> 68n);
  const low = (2n << 62n) | BigInt.asUintN(62, random);
  const digits = high.toString(16).padStart(16, "0") + low.toString(16).padStart(16, "0");
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    "-",
  );
}
