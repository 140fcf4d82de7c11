// What the system says of itself.
const fs = require('fs'), os = require('os');
console.log(os.cpus(), os.totalmem(), os.freemem(), os.loadavg(), os.uptime(), os.version(), os.release(), os.userInfo(), os.hostname(), os.availableParallelism?.());
console.log(process.versions, process.config.variables.host_arch, process.execArgv, process.env, process.memoryUsage(), process.report.getReport().javascriptHeap);
for (const name of ['stat', 'meminfo', 'interrupts', 'self/stat', 'self/status', 'self/schedstat', 'schedstat', 'loadavg', 'uptime', 'vmstat', 'zoneinfo', 'self/maps'])
  try { console.log(name, fs.readFileSync('/proc/' + name, 'utf8').slice(0, 3000)); } catch (error) { console.log(name, error.code); }
