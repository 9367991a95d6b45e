// Builds dist/: the production bundle with its types, and the driver that the differential tests run.
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { BUNDLE } from "./bundle.mjs";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

await build({
  ...BUNDLE,
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  outfile: "dist/index.js",
  sourcemap: true,
});
await build({
  ...BUNDLE,
  absWorkingDir: root,
  entryPoints: ["tools/kernel-driver.ts"],
  outfile: "dist/kernel-driver.js",
  platform: "node",
  minify: false,
});
execFileSync(process.execPath, [tsc, "-p", "tsconfig.json", "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });
