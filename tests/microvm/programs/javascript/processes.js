// Children beside each other: who ends first, and what they say.
const { spawn, execSync, fork } = require('child_process');
if (process.argv[2]) { process.send([process.pid, Math.random(), performance.now()]); process.disconnect(); }
else {
  console.log(execSync('echo $$ $PPID $RANDOM $EPOCHREALTIME').toString());
  for (const delay of [3, 1, 2]) {
    const child = spawn('bash', ['-c', `sleep 0.0${delay}; echo ${delay} $EPOCHREALTIME`]);
    child.stdout.on('data', (data) => console.log(child.pid, `${data}`, performance.now()));
    child.on('close', (code) => console.log(delay, code));
  }
  fork(__filename, ['child']).on('message', (message) => console.log(message));
}
