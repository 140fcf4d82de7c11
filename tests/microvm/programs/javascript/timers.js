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
