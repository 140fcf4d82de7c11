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
