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
