// Builds the package, its tests, and the snippets of the platform's documentation, which import it by its name.
import { execFileSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import "./build.mjs";

const root = new URL("../", import.meta.url);
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");

export async function compileTests() {
  const compile = (...options) => execFileSync(process.execPath, [compiler, ...options], { cwd: root, stdio: "inherit" });
  rmSync(new URL(".build/", root), { recursive: true, force: true });
  compile("-p", "tests");
  const onlySnippets = (path) => !/\.(py|json)$/.test(path);
  cpSync(new URL("../../tests/sdk/snippets/", root), new URL(".build/snippets/", root), { recursive: true, filter: onlySnippets });
  const options = ["--strict", "--skipLibCheck", "--types", "node", "--module", "nodenext", "--target", "es2022"];
  compile(...options, ".build/snippets/execute.ts", ".build/snippets/tangle.ts");
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await compileTests();
