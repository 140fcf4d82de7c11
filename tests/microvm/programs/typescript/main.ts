// @ts-nocheck
// Programs chosen to break determinism; the first argument names the case.
enum Colour { Red, Green = 5, Blue }
interface Named<T> { readonly name: string; value: T }
class Box<T extends object> implements Named<T> {
  static #count = 0;
  readonly name: string;
  constructor(public value: T) { this.name = `box${Box.#count++}@${performance.now()}`; }
}

// case: asynchronous_files
function case_asynchronous_files(): void {
  // Files read and written by the thread pool: who is ready first.
  const fs = require('fs/promises');
  const log = [];
  async function work(n) {
    const name = `/tmp/${n}`;
    await fs.writeFile(name, Buffer.alloc(1 + (n * 37913) % 90000, n));
    log.push(`w${n}`);
    const data = await fs.readFile(name);
    log.push(`r${n}`);
    await fs.appendFile('/tmp/all', `${n} `);
    log.push(`${n}:${data.length}:${performance.now()}`);
  }
  Promise.all(Array.from({ length: 24 }, (_, n) => work(n))).then(async () => console.log(log.join(' '), await fs.readFile('/tmp/all', 'utf8')));
}

// case: clocks
function case_clocks(): void {
  // Every clock that a program can read.
  const { performance } = require('perf_hooks');
  for (let n = 0; n < 5; n++) {
    console.log(Date.now(), performance.now(), process.hrtime.bigint(), process.uptime(), performance.timeOrigin);
    for (let k = 0; k < 20000; k++) Math.sqrt(k);
  }
  console.log(new Date().toString(), Intl.DateTimeFormat().resolvedOptions(), process.cpuUsage(), process.resourceUsage());
  console.log(performance.nodeTiming, performance.eventLoopUtilization());
  let steps = 0;
  for (const end = performance.now() + 3; performance.now() < end;) steps += 1;
  console.log(steps);
}

// case: errors
function case_errors(): void {
  // Errors that surface late, deep and from elsewhere.
  let depth = 0;
  const deep = () => { depth += 1; deep(); };
  try { deep(); } catch (error) { console.log(error.message, depth, error.stack.length); }
  process.on('unhandledRejection', (error, promise) => console.log('rejected', error.message, promise, performance.now()));
  process.on('warning', (warning) => console.log(warning.name, warning.message));
  for (let n = 0; n < 5; n++) Promise.reject(new Error(`late ${n}`));
  process.emitWarning('careful');
  setTimeout(() => {
    try { new Array(-1); } catch (error) { console.log(error.stack); }
    try { 'x'.repeat(2 ** 30); } catch (error) { console.log(error.message); }
    try { null.x; } catch (error) { console.log(error.message); }
    process.on('uncaughtException', (error) => console.log('uncaught', error.message, process.hrtime.bigint()));
    setTimeout(() => { throw new Error('last'); }, 1);
  }, 2);
}

// case: floats
function case_floats(): void {
  // Bits of numbers: NaNs, denormals, transcendental functions, text.
  const view = new DataView(new ArrayBuffer(8));
  const bits = (value) => { view.setFloat64(0, value); return view.getBigUint64(0).toString(16); };
  for (const name of Object.getOwnPropertyNames(Math).filter((name) => typeof Math[name] === 'function' && name !== 'random')) {
    let line = name, state = 7;
    for (let n = 0; n < 25; n++) {
      state = (state * 16807) % 2147483647;
      line += ' ' + bits(Math[name]((state / 2147483647 - 0.5) * 2 ** (n * 3 - 20), n));
    }
    console.log(line);
  }
  for (const text of ['7ff8000000000001', '7ff0000000000001', 'fff8000000000002', '0000000000000001']) {
    view.setBigUint64(0, BigInt('0x' + text));
    const value = view.getFloat64(0);
    console.log(bits(value), bits(value + 1), bits(-value), bits(value * 0), bits(Math.fround(value)), bits(Math.min(value, 1)));
    console.log(Buffer.from(new Float32Array([value, -value]).buffer), Buffer.from(new Float64Array([value, 0 / 0]).buffer));
  }
  console.log(0.1 + 0.2, 1e21 / 7, (1.005).toFixed(2), (123.456).toExponential(30), parseFloat('1e-320'), 5e-324 / 3, 2 ** 0.5, 10 ** -5, performance.now());
}

// case: garbage
function case_garbage(): void {
  // When garbage is collected shows in finalisers and in the heap's numbers.
  const v8 = require('v8');
  v8.setFlagsFromString('--expose-gc');
  const gc = require('vm').runInNewContext('gc');
  const log = [];
  const registry = new FinalizationRegistry((name) => log.push(name));
  let kept = [];
  for (let n = 0; n < 3000; n++) {
    const value = { n, data: new Array(n % 200).fill(n) };
    if (n % 50 === 0) registry.register(value, n);
    if (n % 7 === 0) kept.push(new WeakRef(value));
  }
  setTimeout(() => {
    gc();
    setTimeout(() => {
      console.log(log.length, log.join(' '), kept.filter((reference) => reference.deref()).length);
      console.log(process.memoryUsage(), v8.getHeapStatistics(), v8.getHeapSpaceStatistics());
    }, 5);
  }, 1);
}

// case: generated_code
function case_generated_code(): void {
  // Much code that is made at run time, so that compiled code is thrown away.
  const started = performance.now();
  let total = 0, state = 1;
  for (let n = 0; n < 400; n++) {
    const act = new Function('a', 'b', `let s = ${n}; for (let i = 0; i < 60; i++) s = (s * ${n + 3} + a ^ b + i) | 0; return s;`);
    for (let k = 0; k < 12; k++) total = (total + act(k, state)) | 0;
    state = (state * 1103515245 + 12345) & 0x7fffffff;
    eval(`state ^= ${n}`);
  }
  console.log(total, state, performance.now() - started, process.memoryUsage().heapTotal);
}

// case: guest_root
function case_guest_root(): void {
  // A program that tries to be the machine's root.
  const fs = require('fs'), { spawnSync } = require('child_process');
  const attempt = (name, act) => { try { console.log(name, act()); } catch (error) { console.log(name, error.code, error.message); } };
  for (const path of ['/dev/mem', '/dev/port', '/dev/kmsg', '/dev/hpet', '/proc/kcore', '/proc/1/mem', '/proc/1/environ', '/proc/sysrq-trigger', '/etc/shadow'])
    for (const mode of ['r', 'r+']) attempt(`${path} ${mode}`, () => fs.openSync(path, mode));
  for (const [name, value] of [['setuid', 0], ['setgid', 0], ['seteuid', 0], ['setgroups', [0]], ['initgroups', 0]]) attempt(name, () => process[name](value, 0));
  for (const signal of [0, 9, 15, 19]) attempt(`kill ${signal}`, () => process.kill(1, signal));
  for (const command of ['sudo -n id', 'su -c id', 'mount -t tmpfs x /tmp', 'unshare -r id', 'insmod x', 'chroot / id', 'dmesg', 'modprobe x']) {
    const { status, stderr, stdout } = spawnSync('bash', ['-c', command]);
    console.log(command, status, `${stdout}${stderr}`);
  }
  attempt('chown', () => fs.chownSync('/tmp', 0, 0));
  attempt('write', () => fs.appendFileSync('/faas/runner.js', 'x'));
  attempt('priority', () => require('os').setPriority(0, -5));
  console.log(process.getuid(), process.getgroups(), fs.readdirSync('/proc/self/fd').map((name) => { try { return fs.readlinkSync(`/proc/self/fd/${name}`); } catch (error) { return error.code; } }), performance.now());
}

// case: inodes
function case_inodes(): void {
  // Numbers, times and order of files.
  const fs = require('fs');
  for (let n = 0; n < 80; n++) {
    const name = `/tmp/${(n * 7919) % 1009}`;
    fs.writeFileSync(name, 'x'.repeat(n));
    if (n % 3 === 0) fs.unlinkSync(name);
    if (n % 5 === 0) fs.mkdirSync(name + 'd');
  }
  for (const entry of fs.readdirSync('/tmp', { withFileTypes: true })) console.log(entry.name, fs.lstatSync('/tmp/' + entry.name, { bigint: true }));
  for (const name of ['/', '/work', '/usr/bin/node', '/proc/self', '/dev/null']) console.log(name, fs.statSync(name), fs.readdirSync('/work'));
}

// case: jit
function case_jit(): void {
  // Functions that are compiled, undone and compiled again, and how long each turn takes.
  function add(a, b) { return a + b; }
  function shape(value) { return value.x + (value.y || 0); }
  const log = [];
  for (const [left, right] of [[1, 2], [1.5, 2], ['a', 'b'], [1n, 2n], [{}, []], [1, 2]]) {
    const started = process.hrtime.bigint();
    let last;
    for (let n = 0; n < 20000; n++) last = add(left, right);
    log.push([String(last), process.hrtime.bigint() - started]);
  }
  for (const value of [{ x: 1 }, { y: 2, x: 1 }, { x: 1.5, y: 2, z: 3 }, { x: '1' }, Object.create({ x: 4 })]) {
    const started = process.hrtime.bigint();
    let sum = 0;
    for (let n = 0; n < 20000; n++) sum += shape(value);
    log.push([String(sum).slice(0, 40), process.hrtime.bigint() - started]);
  }
  const { execFileSync } = require('child_process');
  console.log(log, process.memoryUsage());
}

// case: pipes
function case_pipes(): void {
  // Streams that push back: the sizes of pieces and their order.
  const { PassThrough, Transform, pipeline } = require('stream');
  const { spawn } = require('child_process');
  const log = [];
  const cat = spawn('cat');
  cat.stdout.on('data', (data) => log.push(data.length));
  cat.on('close', () => console.log(log.join(' '), process.hrtime.bigint()));
  const source = new PassThrough({ highWaterMark: 1000 });
  const turn = new Transform({ transform(data, _, done) { setImmediate(() => done(null, data.reverse())); } });
  pipeline(source, turn, cat.stdin, (error) => log.push(String(error)));
  for (let n = 0; n < 60; n++) log.push(source.write(Buffer.alloc(1 + (n * 977) % 3000, n)));
  source.end();
}

// case: promises
function case_promises(): void {
  // Promises, generators and iterators that take turns.
  const log = [];
  const sleep = (delay) => new Promise((done) => setTimeout(done, delay));
  async function* count(name, delay) { for (let n = 0; n < 6; n++) { await sleep(delay); yield `${name}${n}`; } }
  async function follow(name, delay) { for await (const value of count(name, delay)) log.push(`${value}@${performance.now()}`); }
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 7);
  controller.signal.addEventListener('abort', () => log.push(`abort@${performance.now()}`));
  Promise.all([follow('a', 1), follow('b', 2), follow('c', 1), Promise.race([sleep(3), sleep(2)]).then(() => log.push('race'))])
    .then(() => Promise.allSettled([Promise.reject(1), sleep(1), Promise.any([sleep(4), sleep(3)])]))
    .then((settled) => console.log(log.join(' '), settled));
}

// case: randomness
function case_randomness(): void {
  // Every source of randomness.
  const crypto = require('crypto');
  console.log(Math.random(), crypto.randomUUID(), crypto.randomBytes(16), crypto.randomInt(1e9));
  console.log(crypto.webcrypto.getRandomValues(new Uint32Array(4)), require('vm').runInNewContext('Math.random()'));
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
  console.log(publicKey.export({ type: 'spki', format: 'der' }).toString('hex'));
  console.log(crypto.sign('sha256', Buffer.from('text'), privateKey).toString('hex'));
  crypto.randomBytes(8, (_, bytes) => console.log(bytes));
  crypto.scrypt('word', crypto.randomBytes(4), 16, { N: 16 }, (_, key) => console.log(key));
  console.log(require('fs').readFileSync('/proc/sys/kernel/random/uuid', 'utf8'), [1, 2, 3].sort(() => Math.random() - 0.5));
}

// case: signals
function case_signals(): void {
  // Signals to itself and from children.
  const { spawn } = require('child_process');
  const log = [];
  for (const name of ['SIGUSR2', 'SIGHUP', 'SIGTERM', 'SIGINT', 'SIGWINCH'])
    process.on(name, () => log.push([name, process.hrtime.bigint(), process.memoryUsage().heapUsed]));
  for (const name of ['SIGTERM', 'SIGUSR2', 'SIGHUP', 'SIGINT', 'SIGWINCH']) process.kill(process.pid, name);
  const child = spawn('bash', ['-c', `for n in 1 2 3; do kill -USR2 ${process.pid}; sleep 0.002; done; kill -9 $$`]);
  child.on('exit', (code, signal) => { console.log(code, signal, child.pid, log); process.exit(); });
}

// case: sockets
function case_sockets(): void {
  // Servers and clients on local sockets, and the network that is not there.
  const net = require('net');
  const log = [];
  const server = net.createServer((peer) => peer.on('data', (data) => { log.push(`s${data}`); peer.write(data.reverse()); }));
  server.listen('/tmp/socket', () => {
    let left = 4;
    for (let n = 0; n < 4; n++) {
      const client = net.connect('/tmp/socket');
      let turn = 0;
      client.on('data', (data) => {
        log.push(`c${n}:${data.length}:${performance.now()}`);
        if (++turn < 6) client.write(Buffer.alloc(1 + n * 5 + turn, 65 + n));
        else { client.end(); if (--left === 0) { server.close(); console.log(log.join(' ')); } }
      });
      client.write(`hello${n}`);
    }
  });
  net.connect(80, '192.0.2.1').on('error', (error) => console.log(error.code, error.message));
  net.connect(80, '127.0.0.1').on('error', (error) => console.log(error.code, error.message));
  console.log(require('os').networkInterfaces());
}

// case: sorting
function case_sorting(): void {
  // Locales, sorting of equals, order of keys.
  const words = ['Zebra', 'apple', 'Äpfel', 'éclair', 'eclair', 'ß', 'ss', 'İ', 'i', '10', '9', '_'];
  for (const name of [undefined, 'de', 'sv', 'tr', 'en-u-kn-true']) console.log(name, [...words].sort(new Intl.Collator(name).compare));
  console.log([...words].sort(), [...words].sort((a, b) => a.localeCompare(b)), words.map((word) => word.normalize('NFKD').toLocaleUpperCase('tr')));
  console.log(new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(1234567.891), new Date(0).toLocaleString('ja-JP'), new Date().toLocaleString());
  const same = Array.from({ length: 600 }, (_, n) => ({ n, key: Math.floor(Math.random() * 5) }));
  console.log(same.sort((a, b) => a.key - b.key).map((value) => value.n).join(' '));
  console.log(Object.keys({ b: 1, 2: 1, a: 1, 1: 1 }), [...new Set(words.map((word) => word.length))], same.sort(() => Math.random() - 0.5)[0]);
}

// case: system
function case_system(): void {
  // What the system says of itself.
  const fs = require('fs'), os = require('os');
  console.log(os.cpus(), os.totalmem(), os.freemem(), os.loadavg(), os.uptime(), os.version(), os.release(), os.userInfo(), os.hostname(), os.availableParallelism?.());
  console.log(process.versions, process.config.variables.host_arch, process.execArgv, process.env, process.memoryUsage(), process.report.getReport().javascriptHeap);
  for (const name of ['stat', 'meminfo', 'interrupts', 'self/stat', 'self/status', 'self/schedstat', 'schedstat', 'loadavg', 'uptime', 'vmstat', 'zoneinfo', 'self/maps'])
    try { console.log(name, fs.readFileSync('/proc/' + name, 'utf8').slice(0, 3000)); } catch (error) { console.log(name, error.code); }
}

// case: temporary_names
function case_temporary_names(): void {
  // Names that are made up.
  const fs = require('fs'), os = require('os'), path = require('path');
  for (let n = 0; n < 5; n++) console.log(fs.mkdtempSync(path.join(os.tmpdir(), 'x-')));
  console.log(fs.readdirSync('/tmp'), process.pid, process.ppid, URL.createObjectURL(new Blob(['x'])), Symbol('x').toString());
  fs.mkdtemp('/tmp/y-', (_, name) => console.log(name, fs.statSync(name)));
}

// case: thread_pool
function case_thread_pool(): void {
  // Work in the thread pool that ends in an order of its own.
  const crypto = require('crypto'), zlib = require('zlib'), dns = require('dns');
  const log = [];
  const note = (name) => () => log.push(`${name}@${performance.now()}`);
  for (let n = 0; n < 8; n++) {
    crypto.pbkdf2('word', `salt${n}`, 50 + ((n * 37) % 5) * 40, 32, 'sha256', note(`p${n}`));
    zlib.deflate(Buffer.alloc(1000 * ((n * 5) % 7), n), note(`z${n}`));
    crypto.randomFill(Buffer.alloc(100), note(`r${n}`));
  }
  dns.lookup('localhost', (error, address) => log.push(`d${error ? error.code : address}`));
  process.on('exit', () => console.log(log.join(' ')));
}

// case: timers
function case_timers(): void {
  // Timers, immediates and microtasks: the order and the time in which they fire.
  const log = [];
  const note = (name) => log.push(`${name}@${process.hrtime.bigint()}`);
  for (let n = 0; n < 40; n++) {
    setTimeout(note, (n * 7) % 6, `t${n}`);
    setImmediate(note, `i${n}`);
    process.nextTick(note, `n${n}`);
    queueMicrotask(() => note(`m${n}`));
  }
  const interval = setInterval(() => { note('v'); if (log.length > 180) clearInterval(interval); }, 1);
  process.on('exit', () => console.log(log.join(' ')));
}

// case: timing_of_code
function case_timing_of_code(): void {
  // Whether work that is done for the first time, or again, takes another time.
  const { createHash } = require('crypto');
  const log = [];
  const timed = (name, act) => { const started = process.hrtime.bigint(); act(); log.push(`${name}:${process.hrtime.bigint() - started}`); };
  for (let turn = 0; turn < 5; turn++) {
    timed('empty', () => {});
    timed('loop', () => { for (let n = 0, s = 0; n < 5000; n++) s += n % 7; });
    timed('hash', () => createHash('sha256').update(Buffer.alloc(50000)).digest());
    timed('pattern', () => 'aaab some words '.repeat(100).match(/(a+)+b|\w{3,}\s/g));
    timed('json', () => JSON.parse(JSON.stringify(Array.from({ length: 300 }, (_, n) => ({ n })))));
    timed('sort', () => Array.from({ length: 2000 }, (_, n) => (n * 7919) % 1009).sort((a, b) => a - b));
    timed('file', () => require('fs').writeFileSync('/tmp/x', 'x'));
  }
  console.log(log.join(' '));
}

// case: uninitialised
function case_uninitialised(): void {
  // Memory that nobody has written.
  const { createHash } = require('crypto');
  for (const size of [10, 100, 1000, 4000, 9000, 100000, 1000000]) {
    const data = Buffer.allocUnsafe(size);
    console.log(size, data.byteOffset, createHash('sha256').update(data).digest('hex'), data.subarray(0, 32).toString('hex'));
  }
  console.log(Buffer.allocUnsafeSlow(50000).reduce((sum, byte) => sum + byte, 0), Buffer.poolSize, process.memoryUsage());
  const core = require('v8').writeHeapSnapshot ? require('v8').getHeapStatistics() : 0;
  console.log(core);
}

// case: webassembly
function case_webassembly(): void {
  // A module made by hand: integers, NaN bits, growing memory, a trap.
  const bytes = Uint8Array.from([
    0, 97, 115, 109, 1, 0, 0, 0,
    1, 12, 2, 96, 2, 124, 124, 1, 126, 96, 1, 127, 1, 127,
    3, 4, 3, 0, 1, 1,
    5, 3, 1, 0, 1,
    7, 13, 3, 1, 97, 0, 0, 1, 98, 0, 1, 1, 99, 0, 2,
    10, 25, 3, 8, 0, 32, 0, 32, 1, 163, 189, 11, 6, 0, 32, 0, 64, 0, 11, 7, 0, 65, 1, 32, 0, 109, 11,
  ]);
  const { a, b, c } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
  for (const [left, right] of [[0, 0], [1, 3], [-0, 5], [Infinity, Infinity], [NaN, 1], [5e-324, 3]]) console.log(a(left, right).toString(16));
  console.log(b(1), b(3), b(100000), c(7));
  try { c(0); } catch (error) { console.log(error.message, error.stack); }
  const started = performance.now();
  for (let n = 1; n < 30000; n++) a(n, n + 1);
  console.log(performance.now() - started);
}

// case: enums
function case_enums(): void {
  console.log(Colour, Object.entries(Colour), Colour[process.pid % 7], process.hrtime.bigint());
}

// case: classes
function case_classes(): void {
  const all: Named<object>[] = Array.from({ length: 20 }, (_, n) => new Box({ n, at: Date.now() }));
  console.log(all, new WeakMap(all.map((one) => [one, one.name])).has(all[3]));
}

// case: generics
function case_generics(): void {
  const pick = <T,>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)];
  console.log(Array.from({ length: 50 }, () => pick(['a', 'b', 'c'] as const)).join(''), pick<bigint>([process.hrtime.bigint()]));
}

// case: satisfied
function case_satisfied(): void {
  const table: Record<string, number | bigint> = { a: Math.random(), b: process.hrtime.bigint(), c: performance.now() };
  for (const key in table) console.log(key, table[key] as number, table?.[key]?.toString(16) ?? 'none');
}

// case: children
function case_children(): void {
  const { spawn } = require('child_process');
  for (const delay of [3, 1, 2] as number[]) spawn('bash', ['-c', `sleep 0.0${delay}; echo ${delay} $$ $RANDOM $EPOCHREALTIME`]).stdout.on('data', (data: Buffer) => console.log(`${data}`, performance.now()));
}

const cases: Record<string, () => void> = {
  asynchronous_files: case_asynchronous_files,
  clocks: case_clocks,
  errors: case_errors,
  floats: case_floats,
  garbage: case_garbage,
  generated_code: case_generated_code,
  guest_root: case_guest_root,
  inodes: case_inodes,
  jit: case_jit,
  pipes: case_pipes,
  promises: case_promises,
  randomness: case_randomness,
  signals: case_signals,
  sockets: case_sockets,
  sorting: case_sorting,
  system: case_system,
  temporary_names: case_temporary_names,
  thread_pool: case_thread_pool,
  timers: case_timers,
  timing_of_code: case_timing_of_code,
  uninitialised: case_uninitialised,
  webassembly: case_webassembly,
  enums: case_enums,
  classes: case_classes,
  generics: case_generics,
  satisfied: case_satisfied,
  children: case_children,
};
cases[process.argv[2]]();
