// The core: the kernel and the protocol. What only a hub needs (version vectors, reading a request) is not exported, so
// that no bundle carries it. Its size has a limit: tests/size.test.ts.
export { HoldfastError } from "./errors";
export * as clock from "./kernel/clock";
export type { Cell, Column, Table, Wire } from "./kernel/column";
export * as digest from "./kernel/digest";
export { BY_NAME } from "./kernel/merges/index";
export type { Merge, MergeName } from "./kernel/merges/index";
export { type DocumentLibrary, useDocuments } from "./kernel/documents/library";
export { PENDING } from "./kernel/merges/counter";
export * as row from "./kernel/row";
export * as stamps from "./kernel/stamps";
export * as values from "./kernel/values";
export {
  decodeError,
  decodeLine,
  decodeShortAnswer,
  encodeRequest,
  encodeShortRequest,
  lineCutter,
} from "./protocol/codec";
export * as images from "./protocol/images";
export * as json from "./protocol/json";
export type * as messages from "./protocol/messages";
