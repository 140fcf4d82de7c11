// Files read and written by the thread pool: who is ready first.
const fs = require('fs/promises');
const log = [];
async function work(n) {
  const name = `/tmp/${n}`;
  await fs.writeFile(name, Buffer.alloc(1 + (n * 37913) % 90000, n));
  log.push(`w${n}`);
  const data = await fs.readFile(name);
  log.push(`r${n}`);
  await fs.appendFile('/tmp/all', `${n} `);
  log.push(`${n}:${data.length}:${performance.now()}`);
}
Promise.all(Array.from({ length: 24 }, (_, n) => work(n))).then(async () => console.log(log.join(' '), await fs.readFile('/tmp/all', 'utf8')));
