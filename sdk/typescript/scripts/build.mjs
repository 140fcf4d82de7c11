// Builds the package: the wire's types from the API's description, then ES modules and CommonJS, with types.
// Does nothing when it was built from the same sources.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

import { writeTypes } from "./types.mjs";

const root = new URL("../", import.meta.url);
const at = (path) => new URL(path, root);
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const compile = (project) => execFileSync(process.execPath, [compiler, "-p", project], { cwd: root, stdio: "inherit" });

function digestOfSources() {
  const hash = createHash("sha256");
  const scripts = ["scripts/build.mjs", "scripts/types.mjs", "tsconfig.json", "tsconfig.cjs.json", "package-lock.json"];
  const sources = readdirSync(at("src/")).sort().map((name) => `src/${name}`);
  for (const path of [...scripts, ...sources]) hash.update(path).update(readFileSync(at(path)));
  return hash.digest("hex");
}

await writeTypes();
const digest = digestOfSources();
const stamp = at("dist/.sources");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== digest) {
  rmSync(at("dist/"), { recursive: true, force: true });
  compile("tsconfig.json");
  compile("tsconfig.cjs.json");
  mkdirSync(at("dist/cjs/"), { recursive: true });
  writeFileSync(at("dist/cjs/package.json"), '{ "type": "commonjs" }\n');
  writeFileSync(stamp, digest);
}
