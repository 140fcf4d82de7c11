const block = Buffer.from(Array.from({ length: 65536 }, (_, n) => n & 255));
const state = require('crypto').createHash('sha256');
for (let n = 0; n < 512; n++) state.update(block);
console.log(state.digest('hex'));
