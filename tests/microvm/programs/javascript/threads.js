// Worker threads that race on shared memory.
const { Worker, isMainThread, workerData, threadId, parentPort } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(8192);
  const words = new Int32Array(shared);
  let left = 3;
  for (let n = 0; n < 3; n++) {
    const worker = new Worker(__filename, { workerData: { shared, n } });
    worker.on('message', (text) => console.log(text));
    worker.on('exit', () => { if (--left === 0) console.log(words.join('')); });
  }
} else {
  const words = new Int32Array(workerData.shared);
  for (let k = 0; k < 300; k++) {
    const place = Atomics.add(words, 0, 1) + 1;
    words[place] = workerData.n + 1;
    for (let spin = 0; spin < 300; spin++) Math.sin(spin);
  }
  parentPort.postMessage(`${threadId} ${Math.random()} ${performance.now()} ${process.hrtime.bigint()}`);
}
