// Names that are made up.
const fs = require('fs'), os = require('os'), path = require('path');
for (let n = 0; n < 5; n++) console.log(fs.mkdtempSync(path.join(os.tmpdir(), 'x-')));
console.log(fs.readdirSync('/tmp'), process.pid, process.ppid, URL.createObjectURL(new Blob(['x'])), Symbol('x').toString());
fs.mkdtemp('/tmp/y-', (_, name) => console.log(name, fs.statSync(name)));
