'use strict';
/*
 * The waiting Node.js process: it has loaded the common modules, and answers in milliseconds.
 *
 * It runs as the job's user. Descriptor 3 brings, once, the job's arguments and environment; the code
 * in main.js runs as `node main.js` would run it, or as an ES module if it is one; descriptor 4 takes
 * the exit code, and the agent stops the machine.
 */
const fs = require('fs');
const Module = require('module');
const v8 = require('v8');
const vm = require('vm');
for (const name of ['assert', 'buffer', 'child_process', 'crypto', 'events', 'os', 'path', 'perf_hooks',
  'querystring', 'readline', 'stream', 'string_decoder', 'timers', 'timers/promises', 'url', 'util',
  'worker_threads', 'zlib', 'fs/promises']) require(name);

/* Opened anew, so that processes which the job starts do not inherit them. */
const [REQUEST, ANSWER] = [[3, 'r'], [4, 'w']].map(([number, mode]) => {
  const descriptor = fs.openSync(`/proc/self/fd/${number}`, mode);
  fs.closeSync(number);
  return descriptor;
});
const ENTRY = '/work/main.js';
const MODULE_ENTRY = '/work/main.mjs';

function readExactly(size) {
  const data = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const count = fs.readSync(REQUEST, data, done, size - done, null);
    if (count === 0) process.reallyExit(0);
    done += count;
  }
  return data;
}

/** The job's arguments and environment: see mailbox.h. */
function receive() {
  const [count, ...texts] = readExactly(readExactly(4).readUInt32LE(0)).toString('utf8').split('\0').slice(0, -1);
  const args = texts.splice(0, Number(count));
  const variables = [];
  for (let n = 0; n < texts.length; n += 2) variables.push([texts[n], texts[n + 1]]);
  return { args, variables };
}

function isModuleSyntax(error) {
  return error instanceof SyntaxError &&
    /Cannot use import statement outside a module|Unexpected token 'export'|await is only valid in async functions|Cannot use 'import.meta' outside a module/.test(error.message);
}

function run() {
  let script = true;
  try {
    new vm.Script(Module.wrap(fs.readFileSync(ENTRY, 'utf8')), { filename: ENTRY });
  } catch (error) {
    script = !isModuleSyntax(error);
  }
  if (script) {
    Module._load(ENTRY, null, true);
  } else {
    fs.linkSync(ENTRY, MODULE_ENTRY);
    import(MODULE_ENTRY);
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

/*
 * Leave once the exit handlers have run; taking the process apart would take longer than a short job.
 * After an uncaught exception Node itself prints it and leaves.
 */
function leaveQuickly() {
  let failed = false;
  process.once('uncaughtExceptionMonitor', () => { failed = true; });
  const emit = process.emit;
  process.emit = function (name, ...values) {
    const answer = Reflect.apply(emit, this, [name, ...values]);
    if (name === 'exit' && !failed) {
      fs.writeSync(ANSWER, Buffer.from(['E'.charCodeAt(0), (process.exitCode ?? values[0] ?? 0) & 0xff]));
      fs.readSync(REQUEST, Buffer.alloc(1), 0, 1, null);
    }
    return answer;
  };
}

function wait() {
  fs.writeSync(ANSWER, 'R');
  const { args, variables } = receive();
  for (const [name, value] of variables) process.env[name] = value;
  process.argv = ['/usr/bin/node', ENTRY, ...args];
  const seed = fs.openSync('/dev/urandom', 'r');
  const bytes = Buffer.alloc(4);
  fs.readSync(seed, bytes, 0, 4, null);
  fs.closeSync(seed);
  v8.setFlagsFromString(`--random-seed=${(bytes.readUInt32LE(0) & 0x7fffffff) || 1}`);
  run();
}

process.chdir('/work');
warmUp();
leaveQuickly();
setImmediate(() => setImmediate(wait));
