// The whole core stays under 20 kB in gzip (design, section 10). Measured on the production bundle, built here and now.
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, test } from "vitest";
import { BUNDLE } from "../tools/bundle.mjs";

const LIMIT = 20_000;

test("the bundle in gzip", async () => {
  const entry = fileURLToPath(new URL("../src/core.ts", import.meta.url));
  const { outputFiles } = await build({ ...BUNDLE, entryPoints: [entry], write: false });
  const size = gzipSync(outputFiles[0]?.contents ?? "", { level: 9 }).length;
  console.info(`The core: ${size} bytes in gzip, limit ${LIMIT}`);
  expect(size).toBeGreaterThan(1000);
  expect(size).toBeLessThan(LIMIT);
});
