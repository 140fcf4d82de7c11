// Builds the package and its tests, and runs them; arguments go to node's test runner.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";

import "./compile-tests.mjs";

const built = new URL("../.build/", import.meta.url);
const files = readdirSync(built).filter((name) => name.endsWith(".test.js")).map((name) => new URL(name, built).pathname);
execFileSync(process.execPath, ["--test", ...process.argv.slice(2), ...files], { stdio: "inherit" });
