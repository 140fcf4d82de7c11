// Work in the thread pool that ends in an order of its own.
const crypto = require('crypto'), zlib = require('zlib'), dns = require('dns');
const log = [];
const note = (name) => () => log.push(`${name}@${performance.now()}`);
for (let n = 0; n < 8; n++) {
  crypto.pbkdf2('word', `salt${n}`, 50 + ((n * 37) % 5) * 40, 32, 'sha256', note(`p${n}`));
  zlib.deflate(Buffer.alloc(1000 * ((n * 5) % 7), n), note(`z${n}`));
  crypto.randomFill(Buffer.alloc(100), note(`r${n}`));
}
dns.lookup('localhost', (error, address) => log.push(`d${error ? error.code : address}`));
process.on('exit', () => console.log(log.join(' ')));
