// What a page of the tests holds: the library, the schemas, and yjs for documents.
import * as Y from "yjs";
import * as holdfast from "../../src/index";
import { schema } from "./schema";

holdfast.useDocuments(Y);
const page = { ...holdfast, form: schema };
Object.assign(globalThis, { page });
export type Page = typeof page;
