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
export { type DeviceAccess, open, type OpenOptions, type TableAccess, type Transaction } from "./database";
export { newId } from "./ids";
export type { OneOf, Query, Range, Where } from "./query";
export type { FileEvent } from "./replica/file";
