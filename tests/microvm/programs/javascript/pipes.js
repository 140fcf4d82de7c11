// Streams that push back: the sizes of pieces and their order.
const { PassThrough, Transform, pipeline } = require('stream');
const { spawn } = require('child_process');
const log = [];
const cat = spawn('cat');
cat.stdout.on('data', (data) => log.push(data.length));
cat.on('close', () => console.log(log.join(' '), process.hrtime.bigint()));
const source = new PassThrough({ highWaterMark: 1000 });
const turn = new Transform({ transform(data, _, done) { setImmediate(() => done(null, data.reverse())); } });
pipeline(source, turn, cat.stdin, (error) => log.push(String(error)));
for (let n = 0; n < 60; n++) log.push(source.write(Buffer.alloc(1 + (n * 977) % 3000, n)));
source.end();
