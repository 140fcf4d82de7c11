// Promises, generators and iterators that take turns.
const log = [];
const sleep = (delay) => new Promise((done) => setTimeout(done, delay));
async function* count(name, delay) { for (let n = 0; n < 6; n++) { await sleep(delay); yield `${name}${n}`; } }
async function follow(name, delay) { for await (const value of count(name, delay)) log.push(`${value}@${performance.now()}`); }
const controller = new AbortController();
setTimeout(() => controller.abort(), 7);
controller.signal.addEventListener('abort', () => log.push(`abort@${performance.now()}`));
Promise.all([follow('a', 1), follow('b', 2), follow('c', 1), Promise.race([sleep(3), sleep(2)]).then(() => log.push('race'))])
  .then(() => Promise.allSettled([Promise.reject(1), sleep(1), Promise.any([sleep(4), sleep(3)])]))
  .then((settled) => console.log(log.join(' '), settled));
