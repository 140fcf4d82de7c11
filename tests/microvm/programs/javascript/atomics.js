// Waiting and waking between threads.
const { Worker, isMainThread, workerData } = require('worker_threads');
if (isMainThread) {
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  const worker = new Worker(__filename, { workerData: shared });
  const log = [];
  for (let n = 0; n < 20; n++) {
    log.push(Atomics.wait(words, 0, n, 50), process.hrtime.bigint());
    Atomics.add(words, 1, 1);
    Atomics.notify(words, 1);
  }
  worker.on('exit', () => console.log(log, words));
} else {
  const words = new Int32Array(workerData);
  for (let n = 0; n < 20; n++) {
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
    Atomics.wait(words, 1, n, 20);
  }
}
