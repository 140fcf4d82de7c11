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
