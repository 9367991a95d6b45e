// The rules of the web packages: typescript-eslint's strictest set with types, and the lengths that hold for the whole
// project (checks/limits.toml).
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

const pure = ["packages/client/src/**/*.ts"];

export default defineConfig(
  globalIgnores(["**/dist/", "**/node_modules/"]),
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: { project: ["packages/*/tsconfig.tools.json"], tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "@typescript-eslint/consistent-type-imports": "error",
      // It asks for `!`, which the strict rules forbid: an index that is certainly inside is asserted by type.
      "@typescript-eslint/non-nullable-type-assertion-style": "off",
      eqeqeq: "error",
      "max-lines": ["error", 500],
      "max-lines-per-function": ["error", 60],
      complexity: ["error", 15],
    },
  },
  {
    // The library runs in a page, a worker and a service worker; the kernel reads no clock and draws no lots.
    files: pure,
    rules: {
      "no-restricted-globals": ["error", "process", "Buffer", "window", "document", "require"],
      "no-restricted-imports": ["error", { patterns: ["node:*"] }],
    },
  },
  {
    files: ["packages/client/src/kernel/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", "process", "Buffer", "window", "document", "require", "Date", "crypto"],
      "no-restricted-properties": ["error", { object: "Math", property: "random" }],
      "no-restricted-imports": ["error", { patterns: ["node:*", "**/protocol/*"] }],
    },
  },
);
