import fs from 'node:fs';
import { Worker, isMainThread } from 'node:worker_threads';
const later = await new Promise((resolve) => setTimeout(resolve, 5, 'later'));
console.log(later, import.meta.url, fs.readdirSync('.'), isMainThread);
const worker = new Worker('require("worker_threads").parentPort.postMessage(Date.now() + " " + Math.random())', { eval: true });
console.log(await new Promise((resolve) => worker.once('message', resolve)));
