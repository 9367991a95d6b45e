// What an application may hand over that JSON cannot hold, and the vectors therefore cannot show.
import { expect, test } from "vitest";
import { check } from "../src/kernel/values";

class Place {
  readonly name = "yard";
}
// The hole is the point.
const sparse: unknown[] = [1];
sparse[2] = 3;

test.each([
  ["json", undefined, "value_type"],
  ["json", { a: undefined }, "value_type"],
  ["json", sparse, "value_type"],
  ["json", new Date(0), "value_type"],
  ["json", new Map([["a", 1]]), "value_type"],
  ["json", new Place(), "value_type"],
  ["json", [() => 1], "value_type"],
  ["json", [NaN], "value_range"],
  ["json", 2n ** 53n, "value_range"],
  ["float", Infinity, "value_range"],
  ["float", NaN, "value_range"],
  ["int", -Infinity, "value_range"],
  ["int", new Number(1), "value_type"],
  ["text", new String("a"), "value_type"],
  ["set", new Set(["a"]), "value_type"],
])("%s refuses %o", (type, value, code) => {
  expect(() => check(type, value, "text")).toThrowError(expect.objectContaining({ code }) as Error);
});

test.each([
  ["json", Object.assign(Object.create(null) as object, { a: 1 }), { a: 1 }],
  ["json", JSON.parse('{"__proto__":{"a":1}}'), JSON.parse('{"__proto__":{"a":1}}')],
  ["json", -0, 0],
  ["json", 2 ** 53, 2 ** 53],
  ["float", 2n ** 64n, 2 ** 64],
  ["int", 5n, 5],
])("%s takes %o", (type, value: unknown, canonical: unknown) => {
  expect(check(type, value)).toStrictEqual(canonical);
});
