const crypto = require('crypto'), fs = require('fs'), os = require('os'), v8 = require('v8'), zlib = require('zlib');
console.log(Date.now(), performance.now(), performance.timeOrigin, process.hrtime.bigint(), process.uptime(), process.pid);
console.log(Math.random(), Math.random(), crypto.randomUUID(), crypto.randomBytes(8).toString('hex'));
console.log(os.cpus(), os.totalmem(), os.freemem(), os.uptime(), os.loadavg(), os.hostname(), process.versions);
console.log(process.memoryUsage(), v8.getHeapStatistics(), process.resourceUsage());
let order = '';
for (let n = 0; n < 40; n++) {
  setTimeout(() => { order += `t${n} `; }, (n * 7) % 5);
  setImmediate(() => { order += `i${n} `; });
  fs.readFile('/etc/passwd', () => { order += `f${n} `; });
  crypto.randomBytes(4, (_, bytes) => { order += `r${bytes.toString('hex')} `; });
  Promise.resolve().then(() => { order += `p${n} `; });
}
zlib.gzip('x'.repeat(100000), (_, data) => { order += crypto.createHash('sha256').update(data).digest('hex'); });
process.on('exit', () => console.log(order));
