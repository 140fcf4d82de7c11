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
