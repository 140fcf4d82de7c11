// Answers `--version` and `--standard-json` like the native compiler, with npm's.
"use strict";

const { readFileSync, writeSync } = require("node:fs");
const { join } = require("node:path");

const solc = require(join(__dirname, "..", "tools", "chain", "node_modules", "solc"));

function write(text) {
    const data = Buffer.from(text);
    for (let sent = 0; sent < data.length; ) sent += writeSync(1, data, sent);
}

if (process.argv.includes("--version")) {
    write(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}\n`);
} else if (process.argv.includes("--standard-json")) {
    write(solc.compile(readFileSync(0, "utf8")) + "\n");
} else {
    process.stderr.write("usage: solc --version | --standard-json < input.json\n");
    process.exitCode = 2;
}
