// Memory that nobody has written.
const { createHash } = require('crypto');
for (const size of [10, 100, 1000, 4000, 9000, 100000, 1000000]) {
  const data = Buffer.allocUnsafe(size);
  console.log(size, data.byteOffset, createHash('sha256').update(data).digest('hex'), data.subarray(0, 32).toString('hex'));
}
console.log(Buffer.allocUnsafeSlow(50000).reduce((sum, byte) => sum + byte, 0), Buffer.poolSize, process.memoryUsage());
const core = require('v8').writeHeapSnapshot ? require('v8').getHeapStatistics() : 0;
console.log(core);
