// Small readers that check foreign JSON and say where it is wrong. Strict in the members they know; unknown ones are
// ignored (spec/protocol.md, section 8). Python has msgspec for this. `@__NO_SIDE_EFFECTS__` lets a bundler leave out the
// shapes that nothing reads.
import type { Wire } from "../kernel/column";
import { lengthOf } from "../kernel/text";
import { kindOf, MAX_INT, membersOf } from "../kernel/values";

/** Checks a value found at `path` (such as `$.transactions[0].n`) and gives it its type; throws SyntaxError. */
export type Shape<T> = (wire: Wire | undefined, path: string) => T;
export type Shaped<S> = S extends Shape<infer T> ? T : never;

export function wrong(path: string, wanted: string): SyntaxError {
  return new SyntaxError(`${path}: expected ${wanted}`);
}

/** Any value at all. */
export const anything: Shape<Wire> = (wire, path) => {
  if (wire === undefined) throw wrong(path, "a value");
  return wire;
};

/** A text of `least` to `most` code points that `isValid`. */
// @__NO_SIDE_EFFECTS__
export function text(
  least: 0 | 1 = 0,
  most = Infinity,
  isValid: (text: string) => boolean = () => true,
): Shape<string> {
  return (wire, path) => {
    if (typeof wire !== "string") throw wrong(path, `a string, found ${kindOf(wire)}`);
    // There are at least as many UTF-16 units as code points, so those are counted only in a long text. `least` is 0 or 1.
    if (wire.length < least || (wire.length > most && lengthOf(wire) > most))
      throw wrong(path, `${least} to ${most} characters`);
    if (!isValid(wire)) throw wrong(path, "another form (spec/encoding.md)");
    return wire;
  };
}

/** An integer within `least` .. `most`. */
// @__NO_SIDE_EFFECTS__
export function integer(least = -MAX_INT, most = MAX_INT): Shape<number> {
  return (wire, path) => {
    if (typeof wire === "number" && Number.isInteger(wire) && wire >= least && wire <= most) return wire;
    throw wrong(path, `an integer within ${least} .. ${most}`);
  };
}

export const boolean: Shape<boolean> = (wire, path) => {
  if (typeof wire === "boolean") return wire;
  throw wrong(path, "true or false");
};

/** One of the given texts. */
// @__NO_SIDE_EFFECTS__
export function oneOf<const T extends string>(...texts: T[]): Shape<T> {
  return (wire, path) => {
    const found = texts.find((item) => item === wire);
    if (found === undefined) throw wrong(path, texts.join(" or "));
    return found;
  };
}

// @__NO_SIDE_EFFECTS__
export function list<T>(item: Shape<T>, most = Infinity): Shape<T[]> {
  return (wire, path) => {
    if (!Array.isArray(wire)) throw wrong(path, "an array");
    if (wire.length > most) throw wrong(path, `at most ${most} items`);
    if ((item as unknown) === anything) return wire as T[];
    return wire.map((value: Wire, index) => item(value, `${path}[${index}]`));
  };
}

/** An object used as a map: every name and value of one shape. */
// @__NO_SIDE_EFFECTS__
export function map<T>(value: Shape<T>, name: Shape<string> = text()): Shape<Readonly<Record<string, T>>> {
  return (wire, path) => {
    const members = membersOf(wire);
    if (members === undefined) throw wrong(path, "an object");
    // fromEntries, because assigning to the name "__proto__" would change the prototype.
    return Object.fromEntries(
      Object.entries(members).map(([key, member]) => [name(key, `a name in ${path}`), value(member, `${path}.${key}`)]),
    );
  };
}

/** A member that may be absent, and what it is then. */
// @__NO_SIDE_EFFECTS__
export function optional<T>(shape: Shape<T>, absent: T): Shape<T> {
  return (wire, path) => (wire === undefined ? absent : shape(wire, path));
}

/** A member that may be absent or null. */
// @__NO_SIDE_EFFECTS__
export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (wire, path) => (wire === undefined || wire === null ? null : shape(wire, path));
}

/** An object with the given members; others are left out. */
// @__NO_SIDE_EFFECTS__
export function struct<S extends Readonly<Record<string, Shape<unknown>>>>(
  shapes: S,
): Shape<{ readonly [Name in keyof S]: Shaped<S[Name]> }> {
  const known = Object.entries(shapes);
  return (wire, path) => {
    const members = membersOf(wire);
    if (members === undefined) throw wrong(path, "an object");
    return Object.fromEntries(known.map(([name, shape]) => [name, shape(own(members, name), `${path}.${name}`)])) as {
      readonly [Name in keyof S]: Shaped<S[Name]>;
    };
  };
}

/** A member of an object; undefined where there is none, even when the name is one of Object.prototype. */
function own(members: Readonly<Record<string, Wire>>, name: string): Wire | undefined {
  return Object.hasOwn(members, name) ? members[name] : undefined;
}
