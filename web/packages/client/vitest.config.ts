import { existsSync } from "node:fs";
import { configDefaults, defineConfig } from "vitest/config";
import { CHROMIUM } from "./tests/browser/chromium";

// The tests in a browser run one after another: there are few cores, and each has a browser and a hub.
const browser = existsSync(CHROMIUM) ? [] : ["tests/browser/**"];
export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    exclude: [...configDefaults.exclude, ...browser],
    testTimeout: 60_000,
    fileParallelism: false,
  },
});
