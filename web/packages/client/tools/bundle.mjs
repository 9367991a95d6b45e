// How the published bundle is made; its size is tested with the same options.

/** @type {import("esbuild").BuildOptions} */
export const BUNDLE = {
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  logLevel: "warning",
};
