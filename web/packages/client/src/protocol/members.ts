// Members of a JSON value, named by JSON pointers (RFC 6901). Twin of Python's protocol/members.py.
import type { Wire } from "../kernel/column";
import { canonicalJson, membersOf, same } from "../kernel/values";

/** In place of a value: the member is not there. */
export const ABSENT = Symbol("absent");
/** In place of an element's number: behind the last one (RFC 6901, section 4), or one that is not there any more. */
export const END = "-";

export type Member = Wire | typeof ABSENT;

/** The members and elements that a pointer goes through. */
export function stepsOf(path: string): string[] {
  return path
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Column and pointer of the place that a conflict names: the names of columns have no slash. */
export function split(place: string): [column: string, path: string] {
  const slash = place.indexOf("/");
  return slash < 0 ? [place, ""] : [place.slice(0, slash), place.slice(slash)];
}

/** A value as a conflict keeps it: canonical JSON, null for `ABSENT`. */
export function textOf(value: Member): string | null {
  return value === ABSENT ? null : canonicalJson(value);
}

/** Whether two values, or their absences, are the same. */
export function alike(a: Member, b: Member): boolean {
  return a === ABSENT || b === ABSENT ? a === b : same(a, b);
}

/** What stands there; `ABSENT` for nothing. */
export function member(value: Wire, path: string): Member {
  let found = value;
  for (const step of stepsOf(path)) {
    const next = within(found, step);
    if (next === ABSENT) return ABSENT;
    found = next;
  }
  return found;
}

function within(value: Wire, step: string): Member {
  if (Array.isArray(value)) {
    const at = numberOf(step, value.length);
    return at === null ? ABSENT : ((value as readonly Wire[])[at] as Wire);
  }
  const members = membersOf(value);
  return members !== undefined && Object.hasOwn(members, step) ? (members[step] as Wire) : ABSENT;
}

/**
 * The value with `added` there, `ABSENT` for nothing; objects on the way are made. `ABSENT` when the way leads through
 * something that is neither object nor array, or to an element that is not there.
 */
export function withMember(value: Wire, path: string, added: Member): Member {
  const steps = stepsOf(path);
  return steps.length === 0 ? added : withSteps(value, steps, added);
}

function withSteps(value: Wire, [step = "", ...rest]: readonly string[], added: Member): Member {
  if (Array.isArray(value)) return withElement(value as readonly Wire[], step, rest, added);
  const members = membersOf(value);
  if (members === undefined) return ABSENT;
  const others = Object.entries(members).filter(([name]) => name !== step);
  const known = Object.hasOwn(members, step) ? (members[step] as Wire) : {};
  const made = rest.length === 0 ? added : withSteps(known, rest, added);
  if (made === ABSENT) return rest.length === 0 ? Object.fromEntries(others) : ABSENT;
  return Object.fromEntries([...others, [step, made]]);
}

function withElement(value: readonly Wire[], step: string, rest: readonly string[], added: Member): Member {
  if (rest.length === 0 && step === END && added !== ABSENT) return [...value, added];
  const at = numberOf(step, value.length);
  if (at === null) return ABSENT;
  const made = rest.length === 0 ? added : withSteps(value[at] as Wire, rest, added);
  if (made === ABSENT && rest.length > 0) return ABSENT;
  return [...value.slice(0, at), ...(made === ABSENT ? [] : [made]), ...value.slice(at + 1)];
}

function numberOf(step: string, count: number): number | null {
  return /^[0-9]{1,9}$/.test(step) && Number(step) < count ? Number(step) : null;
}
