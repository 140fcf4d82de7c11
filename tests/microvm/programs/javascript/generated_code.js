// Much code that is made at run time, so that compiled code is thrown away.
const started = performance.now();
let total = 0, state = 1;
for (let n = 0; n < 400; n++) {
  const act = new Function('a', 'b', `let s = ${n}; for (let i = 0; i < 60; i++) s = (s * ${n + 3} + a ^ b + i) | 0; return s;`);
  for (let k = 0; k < 12; k++) total = (total + act(k, state)) | 0;
  state = (state * 1103515245 + 12345) & 0x7fffffff;
  eval(`state ^= ${n}`);
}
console.log(total, state, performance.now() - started, process.memoryUsage().heapTotal);
