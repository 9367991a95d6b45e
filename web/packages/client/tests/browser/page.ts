// What a page of the tests holds: the library, the schemas, and yjs for documents.
import * as Y from "yjs";
import * as holdfast from "../../src/index";
import { schema } from "./schema";

holdfast.useDocuments(Y);

/** A device of the hub of this site; the token is the user. */
function openTest(name: string, token: string) {
  return holdfast.open(schema, { name, token });
}

const page = { ...holdfast, form: schema, openTest };
Object.assign(globalThis, { page });
export type Page = typeof page;
