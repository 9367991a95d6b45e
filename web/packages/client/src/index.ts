// @holdfast/client: the core and compiled schemas, which every browser replica is built on.
export * from "./core";
export { type AppValue, appValueOf, wireOf } from "./schema/app_values";
export * as schema from "./schema/compile";
export type {
  ColumnForm,
  ForeignKeyForm,
  Increment,
  Json,
  ScalarType,
  SchemaForm,
  SetChange,
  SetGrowth,
  TableForm,
} from "./schema/form";
export {
  type Change,
  type DeviceAccess,
  open,
  type OpenOptions,
  type QueueView,
  type TableAccess,
  type TableAccesses,
  type TableTypes,
  type Transaction,
  type VerifyReport,
} from "./database";
export { newId } from "./ids";
export type { OneOf, Query, Range, Where } from "./query";
export type { Conflict, ConflictWriter } from "./protocol/conflicts";
export type { SyncReport } from "./replica/exchange";
export type { FileEvent } from "./replica/file";
export type { Present } from "./replica/presence";
export type { Flow, Progress } from "./replica/progress";
export type { Pending, Refused } from "./replica/queued";
export type { Level, Status, StorageReport } from "./replica/status";
export type { Cancelled } from "./replica/steering";
export type { Operation } from "./replica/work";
export type { LogLine, Trigger } from "./replica/sync_log";
