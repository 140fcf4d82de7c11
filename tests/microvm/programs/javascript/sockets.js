// Servers and clients on local sockets, and the network that is not there.
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
