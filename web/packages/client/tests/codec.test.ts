// What the vectors cannot show: streams of bytes, bytes that are no text, numbers that JSON.stringify would change.
import { describe, expect, test } from "vitest";
import { decodeError, decodeLine, decodeRequest, encodeRequest, lineCutter } from "../src/protocol/codec";
import { parse, write } from "../src/protocol/json";
import type { Request } from "../src/protocol/messages";

const utf8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (...numbers: number[]) => Uint8Array.from(numbers);

describe("lineCutter", () => {
  const stream = utf8.encode('{"a":"é🧱"}\n\n{"b":1}\ncut off');
  const lines = ['{"a":"é🧱"}', "", '{"b":1}'];

  test.each([1, 2, 3, 7, stream.length])("in chunks of %i bytes", (size) => {
    const cut = lineCutter();
    const found: string[] = [];
    for (let at = 0; at < stream.length; at += size) found.push(...cut(stream.slice(at, at + size)).map(text));
    expect(found).toEqual(lines);
  });

  test("a chunk may be used again by its owner", () => {
    const cut = lineCutter();
    const chunk = utf8.encode("ab");
    cut(chunk);
    chunk.fill(0);
    expect(cut(utf8.encode("c\n")).map(text)).toEqual(["abc"]);
  });
});

describe("decodeError", () => {
  test("an error of a hub", () => {
    const found = decodeError(utf8.encode('{"code":"unauthenticated","message":"m"}'));
    expect(found).toEqual({ code: "unauthenticated", message: "m", details: {} });
  });

  test.each([utf8.encode("<html>"), utf8.encode("{}"), utf8.encode(""), bytesOf(0xff, 0xfe)])(
    "another body",
    (body) => {
      expect(decodeError(body)).toBeNull();
    },
  );
});

test.each([
  ["not UTF-8", bytesOf(0x22, 0xff, 0x22)],
  ["a surrogate in UTF-8", bytesOf(0x22, 0xed, 0xa0, 0x80, 0x22)],
  ["nested a million levels deep", utf8.encode("[".repeat(1_000_000) + "]".repeat(1_000_000))],
])("a line that is %s", (_name, line) => {
  expect(() => decodeLine(line)).toThrowError(expect.objectContaining({ code: "response_malformed" }) as Error);
});

describe("JSON", () => {
  test.each([
    [2 ** 53, "9.007199254740992e+15"],
    [2 ** 53 - 1, "9007199254740991"],
    [-1e21, "-1e+21"],
    [9007199254740993n, "9007199254740993"],
    [{ b: 1e300, a: "1e300 1234567890123456789" }, '{"b":1e+300,"a":"1e300 1234567890123456789"}'],
    [["12345678901234567", 1.5], '["12345678901234567",1.5]'],
  ])("%o there and back", (value, written) => {
    expect(write(value)).toBe(written);
    expect(parse(written)).toEqual(value);
  });

  test("members named like those of Object.prototype", () => {
    const value = parse('{"__proto__":12345678901234567890,"toString":1}');
    expect(Object.keys(value as object)).toEqual(["__proto__", "toString"]);
    expect(write(value)).toBe('{"__proto__":12345678901234567890,"toString":1}');
  });
});

test("a request leaves out what the hub fills in, and keeps what is required", () => {
  const required =
    '{"protocol":1,"device":"d","schema":{"version":1,"hash":""},"clock":0,"transactions":[{"origin":"26fd53dc5345",' +
    '"n":1,"ops":[{"op":"delete","table":"note","key":"","stamp":"0329f991e94000-26fd53dc5345","life":1}]}]}';
  const request: Request = decodeRequest(new TextEncoder().encode(required));
  expect(request.cursors).toEqual({});
  expect(text(encodeRequest(request))).toBe(required);
});
