// Every source of randomness.
const crypto = require('crypto');
console.log(Math.random(), crypto.randomUUID(), crypto.randomBytes(16), crypto.randomInt(1e9));
console.log(crypto.webcrypto.getRandomValues(new Uint32Array(4)), require('vm').runInNewContext('Math.random()'));
const { privateKey, publicKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
console.log(publicKey.export({ type: 'spki', format: 'der' }).toString('hex'));
console.log(crypto.sign('sha256', Buffer.from('text'), privateKey).toString('hex'));
crypto.randomBytes(8, (_, bytes) => console.log(bytes));
crypto.scrypt('word', crypto.randomBytes(4), 16, { N: 16 }, (_, key) => console.log(key));
console.log(require('fs').readFileSync('/proc/sys/kernel/random/uuid', 'utf8'), [1, 2, 3].sort(() => Math.random() - 0.5));
