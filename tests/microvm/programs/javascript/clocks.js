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
