'use strict';
/*
 * The waiting Node.js process: it has loaded the common modules, and answers in milliseconds.
 *
 * It runs as the job's user. Descriptor 3 brings a job's arguments, environment and code, which runs
 * as `node main.js` would run it, or as an ES module if it is one; descriptor 4 takes the exit code,
 * and the agent stops the machine. Where the machine is kept, code runs as scripts that share their
 * top-level names, and the process stays when its work is done.
 *
 * In a fresh machine every instruction is slow the first time and fast from then on. So the way of a
 * job is gone before the snapshot once, which compiles each function on it.
 */
const fs = require('fs');
const Module = require('module');
const tty = require('tty');
const v8 = require('v8');
const vm = require('vm');
const FIRST = !process.env.FAAS_AGAIN;
v8.setFlagsFromString('--no-flush-bytecode'); // of functions that are not used before the job
delete process.env.FAAS_AGAIN;
if (FIRST) {
  for (const name of [
    'assert', 'assert/strict', 'async_hooks', 'buffer', 'child_process', 'console', 'crypto',
    'diagnostics_channel', 'dns', 'dns/promises', 'events', 'fs/promises', 'http', 'https', 'net', 'os',
    'path', 'perf_hooks', 'process', 'querystring', 'readline', 'readline/promises', 'stream',
    'stream/promises', 'string_decoder', 'timers', 'timers/promises', 'tls', 'tty', 'url', 'util',
    'util/types', 'v8', 'vm', 'worker_threads', 'zlib',
  ]) require(name);
}

/* Opened anew, so that processes which the job starts do not inherit them. */
const [REQUEST, ANSWER] = [[3, 'r'], [4, 'w']].map(([number, mode]) => {
  const descriptor = fs.openSync(`/proc/self/fd/${number}`, mode);
  fs.closeSync(number);
  return descriptor;
});
const KEEP = 1;
const DRAW = 2;
const STDIN = 4;
const ENTRY = '/work/main.js';
const MODULE_ENTRY = '/work/main.mjs';
const ON_TERMINAL = 8;
const INPUT = '/run/inputs/javascript';
const TERMINAL = '/dev/pts/0';

let kept = false; // whether the program that runs is to leave its variables behind
let runs = 0;
let channel = { request: REQUEST, answer: ANSWER };

function readExactly(size) {
  const data = Buffer.allocUnsafe(size);
  for (let done = 0; done < size;) {
    const count = fs.readSync(channel.request, data, done, size - done, null);
    if (count === 0) process.reallyExit(0);
    done += count;
  }
  return data;
}

/** The job's flags and code, once its arguments and environment are in place: see mailbox.h. */
function receive() {
  const header = readExactly(12);
  const context = readExactly(header.readUInt32LE(4)).latin1Slice();
  process.argv = ['/usr/bin/node', ENTRY];
  if (context !== '0\0') takeContext(Buffer.from(context, 'latin1').toString());
  const size = header.readUInt32LE(8);
  const code = size > 0 ? readExactly(size).utf8Slice() : fs.readFileSync(ENTRY, 'utf8');
  return { flags: header.readUInt32LE(0), code: code.charCodeAt(0) === 0xfeff ? code.slice(1) : code };
}

function takeContext(context) {
  const [count, ...texts] = context.split('\0').slice(0, -1);
  process.argv.push(...texts.splice(0, Number(count)));
  for (let n = 0; n < texts.length; n += 2) process.env[texts[n]] = texts[n + 1];
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

/* What the engine compiles only after so many calls, it compiles here. */
const REHEARSALS = 200;
const MODULE_WORDS = ['import', 'export', 'await'];

function mainModule() {
  const module = new Module('.', null);
  module.filename = ENTRY;
  module.paths = ['/work/node_modules', '/node_modules'];
  process.mainModule = module;
  return module;
}

/* What a module is given by its wrapper, for scripts. */
function giveNames() {
  const module = mainModule();
  Object.assign(globalThis, {
    require: Module.createRequire(ENTRY), module, exports: module.exports, __filename: ENTRY, __dirname: '/work',
  });
}

function runKept(source) {
  kept = true;
  const script = parse(source);
  if (script === null) return runModule();
  giveNames();
  script.runInThisContext();
}

function isModule(source) {
  if (!MODULE_WORDS.some((word) => source.includes(word))) return false;
  try {
    new vm.Script(Module.wrap(source), { filename: ENTRY });
  } catch (error) {
    return isModuleSyntax(error);
  }
  return false;
}

/* As the loader does it for the main module, but for looking at the file. */
function runOnce(source) {
  if (isModule(source)) return runModule();
  const module = mainModule();
  Module._cache[ENTRY] = module;
  module._compile(source, ENTRY);
  module.loaded = true;
}

function run(source, keep) {
  if (keep || kept) runKept(source);
  else runOnce(source);
}

/* Printing, timers, promises and the loader once, so that the job finds them ready. */
function warmUp() {
  const source = Buffer.from(`
    class Warm { constructor(value) { this.value = value; } get twice() { return this.value * 2; } }
    const data = JSON.parse(JSON.stringify({ a: [1, 2.5, null], b: 'text' }));
    console.log('warm', new Warm(3).twice, data, [1, 2, 3].map((x) => x * x), 'caat'.replace(/a+/, 'b'));
    console.error('warm');
    try { throw new Error('warm'); } catch (error) { console.log(error.message, error.stack.length); }
    new Map([['a', 1]]).forEach((value, key) => console.log(\`\${key}=\${value}\`));
  `);
  const real = channel;
  for (let n = 0; n < REHEARSALS; n++) {
    const [flags, context] = n % 2 ? [DRAW, '1\0warm\0WARM\0warm\0'] : [0, '0\0'];
    const header = Buffer.alloc(12);
    [flags, context.length, source.length].forEach((value, index) => header.writeUInt32LE(value, 4 * index));
    fs.writeFileSync('/tmp/warm', Buffer.concat([header, Buffer.from(context), source]));
    channel = { request: fs.openSync('/tmp/warm', 'r'), answer: fs.openSync('/dev/null', 'w') };
    runs = 0;
    take();
    for (const name of ['beforeExit', 'exit']) process.emit(name, 0);
    for (const descriptor of Object.values(channel)) fs.closeSync(descriptor);
  }
  channel = real;
  runs = 0;
  delete process.env.WARM;
  delete Module._cache[ENTRY];
  fs.unlinkSync('/tmp/warm');
}

/*
 * The same for what takes turns: ES modules, files, streams, a server, another program. Node compiles what it is
 * made of itself at the first call, too; and the threads that wait for files are there.
 */
async function warmUpLibrary() {
  const { execFile } = require('child_process');
  const { mkdir, readFile, readdir, rm, writeFile } = require('fs/promises');
  const { Readable, Transform } = require('stream');
  const { pipeline } = require('stream/promises');
  const http = require('http');
  const zlib = require('zlib');
  await mkdir('/tmp/warm');
  await writeFile('/tmp/warm/part.cjs', 'exports.warm = true;');
  await writeFile('/tmp/warm/main.mjs', "import fs from 'fs'; import './part.cjs'; await fs;");
  await import('/tmp/warm/main.mjs');
  const same = new Transform({ transform: (part, _, done) => done(null, part) });
  const text = fs.createWriteStream('/tmp/warm/text');
  await pipeline(Readable.from(['warm\n']), zlib.createGzip(), zlib.createGunzip(), same, text);
  const lines = require('readline').createInterface({ input: fs.createReadStream('/tmp/warm/text') });
  for await (const line of lines) line.trim();
  const server = http.createServer((request, response) => request.pipe(response.writeHead(200, { 'x-warm': 1 })));
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  await new Promise((done, fail) => http
    .request({ port: server.address().port, host: '127.0.0.1', method: 'POST' }, (response) => response.resume().on('end', done))
    .on('error', fail)
    .end('warm'));
  await new Promise((done) => server.close(done));
  await Promise.all([
    readdir('/tmp/warm'), readFile('/tmp/warm/text', 'utf8'), require('timers/promises').setTimeout(1),
    require('util').promisify(execFile)('true'),
  ]);
  await rm('/tmp/warm', { recursive: true });
  for (const value of [1234.5, 10n, new Date(0), ['a']]) value.toLocaleString(); // a tenth of a second, the first time
  ['ä', 'b'].sort(new Intl.Collator('en').compare);
  structuredClone({ warm: ['ä'.localeCompare('b')] });
  delete Module._cache['/tmp/warm/part.cjs'];
}

function answer(word, code) {
  fs.writeSync(channel.answer, Buffer.from([word.charCodeAt(0), code & 0xff]));
}

/*
 * Leave once the exit handlers have run; taking the process apart would take longer than a short job.
 * After an uncaught exception Node itself prints it and leaves: see leave.c.
 */
function leaveQuickly() {
  let failed = false;
  process.env.FAAS_LEAVE = `${REQUEST} ${ANSWER}`;
  process.dlopen({ exports: {} }, '/faas/leave.node');
  delete process.env.FAAS_LEAVE;
  process.once('uncaughtExceptionMonitor', () => { failed = !process.hasUncaughtExceptionCaptureCallback(); });
  const emit = process.emit;
  process.emit = function (name, ...values) {
    const answered = Reflect.apply(emit, this, [name, ...values]);
    if (name === 'exit' && !failed) {
      answer('X', process.exitCode ?? values[0] ?? 0);
      fs.readSync(channel.request, Buffer.alloc(1), 0, 1, null);
    }
    return answered;
  };
}

/* The machine is kept: when nothing is left to do, the program is done, and the process waits. */
function stay() {
  process.on('beforeExit', () => {
    if (!kept) return;
    answer('E', process.exitCode ?? 0);
    take();
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

/*
 * Standard streams as in a process that was started on it; opening it makes it this session's. Nobody has asked
 * for process.stdin yet: that one is what its descriptor is.
 */
function takeTerminal() {
  for (const standard of [0, 1, 2]) {
    fs.closeSync(standard);
    if (fs.openSync(TERMINAL, 'r+') !== standard) throw new Error('the terminal could not be opened');
  }
  process.env.TERM ??= 'xterm-256color';
  for (const [name, descriptor] of [['stdout', 1], ['stderr', 2]]) {
    const stream = new tty.WriteStream(descriptor);
    stream._isStdio = true;
    stream._destroy = (error, done) => done(error);
    process.on('SIGWINCH', () => stream._refreshSize());
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
    console[`_${name}`] = stream;
  }
}

function take() {
  const { flags, code } = receive();
  runs += 1;
  process.exitCode = undefined;
  if (flags & STDIN) renewInput();
  if (flags & ON_TERMINAL) takeTerminal();
  if (flags & DRAW) renewRandomness(runs > 1);
  if (flags & KEEP && !kept) stay();
  if (runs === 1) run(code, flags & KEEP);
  else setImmediate(last, code, flags & KEEP);
}

/* A program after which the machine is not kept ends as `node` ends. */
function last(code, keep) {
  try {
    run(code, keep);
  } finally {
    if (!keep) {
      kept = false;
      process.setUncaughtExceptionCaptureCallback(null);
    }
  }
}

function wait() {
  fs.writeSync(ANSWER, 'R');
  take();
}

process.chdir('/work');
leaveQuickly();
if (FIRST) warmUp();
(FIRST ? warmUpLibrary() : Promise.resolve()).then(() => setImmediate(() => setImmediate(wait)));
