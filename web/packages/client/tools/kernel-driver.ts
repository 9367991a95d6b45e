// The kernel over a line protocol: `{"do": "rows.apply", "in": {...}}` on a line of stdin gives `{"out": ...}` or
// `{"error": code}` in canonical JSON on a line of stdout. Python's twin: holdfast.testing.kernel_driver; the test that
// sets them against each other: tests/integration/test_two_kernels.py.
import { stdin, stdout } from "node:process";
import * as Y from "yjs";
import { useDocuments } from "../src/kernel/documents/library";
import { canonicalJson } from "../src/kernel/values";
import { lineCutter } from "../src/protocol/codec";
import { parse } from "../src/protocol/json";
import { answer } from "./calls";
import { type Form, formIn, textIn } from "./forms";

useDocuments(Y);
const utf8 = new TextDecoder();
// Not node:readline: it also ends a line at U+2028, which may stand in JSON.
const cut = lineCutter();

for await (const chunk of stdin) {
  const answers = cut(chunk as Uint8Array).map((line) => {
    const request = parse(utf8.decode(line)) as Form;
    return `${canonicalJson(answer(textIn(request, "do"), formIn(request, "in")))}\n`;
  });
  stdout.write(answers.join(""));
}
