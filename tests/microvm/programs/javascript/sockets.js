// Servers and clients on local sockets and on loopback, and the network that is not there.
const net = require('net');
const log = [];
const server = net.createServer((peer) => peer.on('data', (data) => { log.push(`s${data}`); peer.write(data.reverse()); }));
server.listen('/tmp/socket', () => {
  let left = 4;
  for (let n = 0; n < 4; n++) {
    const client = net.connect('/tmp/socket');
    let turn = 0;
    client.on('data', (data) => {
      log.push(`c${n}:${data.length}:${performance.now()}`);
      if (++turn < 6) client.write(Buffer.alloc(1 + n * 5 + turn, 65 + n));
      else { client.end(); if (--left === 0) { server.close(); console.log(log.join(' ')); } }
    });
    client.write(`hello${n}`);
  }
});
net.connect(80, '192.0.2.1').on('error', (error) => console.log(error.code, error.message));
net.connect(80, '127.0.0.1').on('error', (error) => console.log(error.code, error.message));
console.log(require('os').networkInterfaces());
const http = require('http');
const web = http.createServer((request, answer) => request.pipe(answer.writeHead(201, { 'x-path': request.url }))).listen(0, 'localhost', async () => {
  const { port } = web.address();
  const told = await Promise.all([1, 2, 3].map((n) => new Promise((resolve, reject) => {
    const asked = http.request({ port, host: '127.0.0.1', method: 'POST', path: `/${n}` }, (answer) => {
      let size = 0;
      answer.on('data', (data) => { size += data.length; }).on('end', () => resolve([answer.statusCode, answer.headers, size, performance.now()]));
    });
    asked.on('error', reject).end('x'.repeat(n * 70000));
  })));
  console.log(port, told);
  web.close();
});
