// Signals to itself and from children.
const { spawn } = require('child_process');
const log = [];
for (const name of ['SIGUSR2', 'SIGHUP', 'SIGTERM', 'SIGINT', 'SIGWINCH'])
  process.on(name, () => log.push([name, process.hrtime.bigint(), process.memoryUsage().heapUsed]));
for (const name of ['SIGTERM', 'SIGUSR2', 'SIGHUP', 'SIGINT', 'SIGWINCH']) process.kill(process.pid, name);
const child = spawn('bash', ['-c', `for n in 1 2 3; do kill -USR2 ${process.pid}; sleep 0.002; done; kill -9 $$`]);
child.on('exit', (code, signal) => { console.log(code, signal, child.pid, log); process.exit(); });
