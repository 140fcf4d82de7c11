// A module made by hand: integers, NaN bits, growing memory, a trap.
const bytes = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0,
  1, 12, 2, 96, 2, 124, 124, 1, 126, 96, 1, 127, 1, 127,
  3, 4, 3, 0, 1, 1,
  5, 3, 1, 0, 1,
  7, 13, 3, 1, 97, 0, 0, 1, 98, 0, 1, 1, 99, 0, 2,
  10, 25, 3, 8, 0, 32, 0, 32, 1, 163, 189, 11, 6, 0, 32, 0, 64, 0, 11, 7, 0, 65, 1, 32, 0, 109, 11,
]);
const { a, b, c } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
for (const [left, right] of [[0, 0], [1, 3], [-0, 5], [Infinity, Infinity], [NaN, 1], [5e-324, 3]]) console.log(a(left, right).toString(16));
console.log(b(1), b(3), b(100000), c(7));
try { c(0); } catch (error) { console.log(error.message, error.stack); }
const started = performance.now();
for (let n = 1; n < 30000; n++) a(n, n + 1);
console.log(performance.now() - started);
