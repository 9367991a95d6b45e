// Builds dist/: the production bundle with its types, and the driver that the differential tests run.
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const shared = { absWorkingDir: root, bundle: true, format: "esm", target: "es2022", logLevel: "warning" };

await build({
  ...shared,
  entryPoints: ["src/index.ts"],
  outfile: "dist/index.js",
  platform: "browser",
  minify: true,
  sourcemap: true,
});
await build({ ...shared, entryPoints: ["tools/kernel-driver.ts"], outfile: "dist/kernel-driver.js", platform: "node" });
execFileSync(process.execPath, [tsc, "-p", "tsconfig.json", "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });
