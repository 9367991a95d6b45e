// What a device does about each failure: one table, by HTTP status (spec/protocol.md, section 6).
import type { HoldfastError } from "../errors";

/** `state` of the loop meanwhile. `retry`: after a growing delay of up to a minute, of up to an hour, or when asked. */
export interface Behaviour {
  readonly state: "offline" | "paused" | "blocked";
  readonly retry: "soon" | "slowly" | "asked";
}

const NETWORK: Behaviour = { state: "offline", retry: "soon" };
const BLOCKED: Behaviour = { state: "blocked", retry: "slowly" };
const BY_STATUS: ReadonlyMap<number, Behaviour> = new Map([
  [400, BLOCKED],
  [401, { state: "paused", retry: "soon" }],
  [403, BLOCKED],
  [409, BLOCKED],
  [410, { state: "blocked", retry: "asked" }],
  [413, BLOCKED],
  [415, BLOCKED],
  [426, BLOCKED],
  [429, NETWORK],
]);
/** Errors that arise here, and that only another version of the application mends. */
const OWN_BLOCKED = new Set(["schema_mismatch", "schema_changed", "file_newer"]);
/** What somebody on the way to the hub says is about the network, but for these. */
const ON_THE_WAY = new Set([401, 413, 429]);

/** What to do about an error of a round. */
export function behaviour(error: HoldfastError): Behaviour {
  const status = Number(error.details["status"] ?? 0);
  if (OWN_BLOCKED.has(error.code)) return BLOCKED;
  if (error.code === "hub_error" && !ON_THE_WAY.has(status)) return NETWORK;
  return BY_STATUS.get(status) ?? NETWORK;
}
