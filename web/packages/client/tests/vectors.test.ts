// Runs every file of the shared vectors (spec/vectors). Python runs the same files in tests/vectors.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import * as Y from "yjs";
import type { Wire } from "../src/kernel/column";
import { Content } from "../src/kernel/documents/content";
import { useDocuments } from "../src/kernel/documents/library";
import { canonicalJson, membersOf } from "../src/kernel/values";
import { parse } from "../src/protocol/json";
import { answer } from "../tools/calls";
import { type Form, textIn } from "../tools/forms";

useDocuments(Y);

const FOLDER = fileURLToPath(new URL("../../../../spec/vectors/", import.meta.url));

interface Case {
  readonly name: string;
  readonly in: Wire;
  readonly out?: Wire;
  readonly error?: string;
}

function read(file: string): unknown {
  return parse(readFileSync(path.join(FOLDER, file), "utf-8"));
}

const { files } = read("manifest.json") as { files: Record<string, string> };

/** The name of the call and its input. A message is its bare text, and its file names the kind. */
function callOf(file: string, given: Wire): [string, Form] {
  const [area = "", name = ""] = file.replace(".json", "").split("/");
  if (area === "messages") return [`messages.${name}`, { text: given }];
  const form = given as Form;
  return [`${area}.${textIn(form, "call")}`, form];
}

/**
 * An answer with the name of its content in place of the bytes of a JSON document: yjs and pycrdt write one number in two
 * ways, and either reads both.
 */
function named(file: string, answered: Wire): Wire {
  const { out } = answered as Form;
  const cell = membersOf(out ?? null);
  const state = cell?.["state"] as readonly [number, string] | null | undefined;
  if (file !== "merges/json.json" || state === undefined || state === null) return answered;
  const content = new Content(false);
  content.load(state[1]);
  return { out: { ...cell, state: [state[0], content.name(), content.object.toJSON() as Wire] } };
}

describe.each(Object.keys(files))("%s", (file) => {
  const { cases } = read(file) as { cases: Case[] };

  test.each(cases)("$name", (expected) => {
    const before = canonicalJson(expected.in);
    const found = answer(...callOf(file, expected.in));
    const wanted = expected.error === undefined ? { out: expected.out ?? null } : { error: expected.error };
    expect(canonicalJson(named(file, found))).toBe(canonicalJson(named(file, wanted)));
    expect(canonicalJson(expected.in), "the input was changed").toBe(before);
  });
});

test("the manifest names every file, and each has cases", () => {
  const present = readdirSync(FOLDER, { recursive: true, encoding: "utf-8" })
    .map((file) => file.replaceAll(path.sep, "/"))
    .filter((file) => file.endsWith(".json") && file !== "manifest.json");
  expect(Object.keys(files).sort()).toEqual(present.sort());
  for (const file of present) expect((read(file) as { cases: Case[] }).cases.length).toBeGreaterThan(0);
});
