// Values that the hub decides: server wins, review, custom. Of two concurrent writes the one that stands stays.
//
// No source: what is new is never taken for better by itself. row.ts leaves the cell as it is and reports the conflict.
// A write whose writer had seen the current value replaces it, as in a register. State: none.
import type { Merge } from "./index";
import { register } from "./register";

export const decided: Merge = { ...register, decided: true };
