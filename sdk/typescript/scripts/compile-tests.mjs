// Builds the package and its tests; `tests/snippets` are the platform's documentation's, word for word.
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { createRequire } from "node:module";

import "./build.mjs";

const root = new URL("../", import.meta.url);
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
rmSync(new URL(".build/", root), { recursive: true, force: true });
execFileSync(process.execPath, [compiler, "-p", "tests"], { cwd: root, stdio: "inherit" });
