'use strict';
/*
 * The waiting Node.js process: it has loaded the common modules, and answers in milliseconds.
 *
 * It runs as the job's user. Descriptor 3 brings a job's arguments and environment; the code in
 * main.js runs as `node main.js` would run it, or as an ES module if it is one; descriptor 4 takes
 * the exit code, and the agent stops the machine. Where the machine is kept, code runs as scripts that
 * share their top-level names, and the process stays when its work is done.
 */
const fs = require('fs');
const Module = require('module');
const v8 = require('v8');
const vm = require('vm');
const FIRST = !process.env.FAAS_AGAIN;
delete process.env.FAAS_AGAIN;
if (FIRST) {
  for (const name of ['assert', 'buffer', 'child_process', 'crypto', 'events', 'os', 'path', 'perf_hooks',
    'querystring', 'readline', 'stream', 'string_decoder', 'timers', 'timers/promises', 'url', 'util',
    'worker_threads', 'zlib', 'fs/promises']) require(name);
}

/* Opened anew, so that processes which the job starts do not inherit them. */
const [REQUEST, ANSWER] = [[3, 'r'], [4, 'w']].map(([number, mode]) => {
  const descriptor = fs.openSync(`/proc/self/fd/${number}`, mode);
  fs.closeSync(number);
  return descriptor;
});
const KEEP = 1;
const FORKED = 2;
const STDIN = 4;
const ENTRY = '/work/main.js';
const MODULE_ENTRY = '/work/main.mjs';
const INPUT = '/run/inputs/javascript';

let kept = false; // whether the program that runs is to leave its variables behind
let runs = 0;

function readExactly(size) {
  const data = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const count = fs.readSync(REQUEST, data, done, size - done, null);
    if (count === 0) process.reallyExit(0);
    done += count;
  }
  return data;
}

/** The job's flags, arguments and environment: see mailbox.h. */
function receive() {
  const header = readExactly(8);
  const [count, ...texts] = readExactly(header.readUInt32LE(4)).toString('utf8').split('\0').slice(0, -1);
  const args = texts.splice(0, Number(count));
  const variables = [];
  for (let n = 0; n < texts.length; n += 2) variables.push([texts[n], texts[n + 1]]);
  return { flags: header.readUInt32LE(0), args, variables };
}

function isModuleSyntax(error) {
  return error instanceof SyntaxError &&
    /Cannot use import statement outside a module|Unexpected token 'export'|await is only valid in async functions|Cannot use 'import.meta' outside a module/.test(error.message);
}

function importModuleDynamically(name) {
  return import(/^\.{0,2}\//.test(name) ? new URL(name, 'file:///work/').href : name);
}

function parse(source) {
  try {
    return new vm.Script(source, { filename: ENTRY, importModuleDynamically });
  } catch (error) {
    if (isModuleSyntax(error)) return null;
    throw error;
  }
}

function runModule() {
  fs.rmSync(MODULE_ENTRY, { force: true });
  fs.linkSync(ENTRY, MODULE_ENTRY);
  import(runs === 1 ? MODULE_ENTRY : `file://${MODULE_ENTRY}?run=${runs}`);
}

/* What a module is given by its wrapper, for scripts. */
function giveNames() {
  const module = new Module(ENTRY, null);
  module.filename = ENTRY;
  module.paths = Module._nodeModulePaths('/work');
  Object.assign(globalThis, {
    require: Module.createRequire(ENTRY), module, exports: module.exports, __filename: ENTRY, __dirname: '/work',
  });
}

function run(keep) {
  if (keep || kept) {
    kept = true;
    const script = parse(fs.readFileSync(ENTRY, 'utf8'));
    if (script === null) return runModule();
    giveNames();
    script.runInThisContext();
  } else {
    let script = true;
    try {
      new vm.Script(Module.wrap(fs.readFileSync(ENTRY, 'utf8')), { filename: ENTRY });
    } catch (error) {
      script = !isModuleSyntax(error);
    }
    if (script) Module._load(ENTRY, null, true);
    else runModule();
  }
}

/* Printing, timers, promises and the loader once, so that the job finds them ready. */
function warmUp() {
  const file = '/tmp/warm.js';
  fs.writeFileSync(file, `
    class Warm { constructor(value) { this.value = value; } get twice() { return this.value * 2; } }
    const data = JSON.parse(JSON.stringify({ a: [1, 2.5, null], b: 'text' }));
    console.log('warm', new Warm(3).twice, data, [1, 2, 3].map((x) => x * x), 'caat'.replace(/a+/, 'b'));
    console.error('warm');
    try { throw new Error('warm'); } catch (error) { console.log(error.message, error.stack.length); }
    new Map([['a', 1]]).forEach((value, key) => console.log(\`\${key}=\${value}\`));
  `);
  Module._load(file, null, false);
  delete Module._cache[file];
  delete require.cache[file];
  fs.unlinkSync(file);
}

function answer(word, code) {
  fs.writeSync(ANSWER, Buffer.from([word.charCodeAt(0), code & 0xff]));
}

/*
 * Leave once the exit handlers have run; taking the process apart would take longer than a short job.
 * After an uncaught exception Node itself prints it and leaves.
 */
function leaveQuickly() {
  let failed = false;
  process.once('uncaughtExceptionMonitor', () => { failed = !process.hasUncaughtExceptionCaptureCallback(); });
  const emit = process.emit;
  process.emit = function (name, ...values) {
    const answered = Reflect.apply(emit, this, [name, ...values]);
    if (name === 'exit' && !failed) {
      answer('X', process.exitCode ?? values[0] ?? 0);
      fs.readSync(REQUEST, Buffer.alloc(1), 0, 1, null);
    }
    return answered;
  };
}

/* The machine is kept: when nothing is left to do, the program is done, and the process waits. */
function stay() {
  process.on('beforeExit', () => {
    if (!kept) return;
    answer('E', process.exitCode ?? 0);
    next();
  });
  process.setUncaughtExceptionCaptureCallback((error) => {
    const text = error instanceof Error ? error.stack : `Uncaught ${require('util').inspect(error)}`;
    const lines = text.split('\n').filter((line) => !/\/faas\/runner\.js|node:vm:|node:internal/.test(line));
    fs.writeSync(2, `${lines.join('\n')}\n`);
    process.exitCode = 1;
  });
}

/* V8 seeds Math.random for each context from its flag. */
function renewRandomness(again) {
  const seed = fs.openSync('/dev/urandom', 'r');
  const bytes = Buffer.alloc(4);
  fs.readSync(seed, bytes, 0, 4, null);
  fs.closeSync(seed);
  v8.setFlagsFromString(`--random-seed=${(bytes.readUInt32LE(0) & 0x7fffffff) || 1}`);
  if (again) Math.random = vm.runInNewContext('Math.random');
}

/* Standard input of a job that is not the first is a file; it takes the place of descriptor 0. */
function renewInput() {
  fs.closeSync(0);
  if (fs.openSync(INPUT, 'r') !== 0) throw new Error('standard input could not be renewed');
  const stream = new fs.ReadStream(null, { fd: 0, autoClose: false });
  Object.defineProperty(process, 'stdin', { configurable: true, enumerable: true, get: () => stream });
}

function next() {
  const { flags, args, variables } = receive();
  runs += 1;
  for (const [name, value] of variables) process.env[name] = value;
  process.argv = ['/usr/bin/node', ENTRY, ...args];
  process.exitCode = undefined;
  if (flags & STDIN) renewInput();
  if (runs === 1 || flags & FORKED) renewRandomness(runs > 1);
  if (flags & KEEP && !kept) stay();
  if (runs === 1) run(flags & KEEP);
  else setImmediate(last, flags & KEEP);
}

/* A program after which the machine is not kept ends as `node` ends. */
function last(keep) {
  try {
    run(keep);
  } finally {
    if (!keep) {
      kept = false;
      process.setUncaughtExceptionCaptureCallback(null);
    }
  }
}

function wait() {
  fs.writeSync(ANSWER, 'R');
  next();
}

process.chdir('/work');
if (FIRST) warmUp();
leaveQuickly();
setImmediate(() => setImmediate(wait));
