// Short names for content, where a random one would differ from device to device. Python: kernel/fingerprint.py.
import { blake2s } from "./blake2s";

const utf8 = new TextEncoder();

/**
 * The first 12 hexadecimal digits of the BLAKE2s hash (16 bytes) over the fields, each in UTF-8 after its length in 4
 * bytes. It stands where an origin stands.
 */
export function fingerprint(...fields: string[]): string {
  const content = fields.flatMap((field) => {
    const part = utf8.encode(field);
    return [part.length >>> 24, (part.length >>> 16) & 255, (part.length >>> 8) & 255, part.length & 255, ...part];
  });
  return Array.from(blake2s(Uint8Array.from(content)).slice(0, 6), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}
