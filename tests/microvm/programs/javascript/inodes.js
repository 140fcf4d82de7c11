// Numbers, times and order of files.
const fs = require('fs');
for (let n = 0; n < 80; n++) {
  const name = `/tmp/${(n * 7919) % 1009}`;
  fs.writeFileSync(name, 'x'.repeat(n));
  if (n % 3 === 0) fs.unlinkSync(name);
  if (n % 5 === 0) fs.mkdirSync(name + 'd');
}
for (const entry of fs.readdirSync('/tmp', { withFileTypes: true })) console.log(entry.name, fs.lstatSync('/tmp/' + entry.name, { bigint: true }));
for (const name of ['/', '/work', '/usr/bin/node', '/proc/self', '/dev/null']) console.log(name, fs.statSync(name), fs.readdirSync('/work'));
