// Bits of numbers: NaNs, denormals, transcendental functions, text.
const view = new DataView(new ArrayBuffer(8));
const bits = (value) => { view.setFloat64(0, value); return view.getBigUint64(0).toString(16); };
for (const name of Object.getOwnPropertyNames(Math).filter((name) => typeof Math[name] === 'function' && name !== 'random')) {
  let line = name, state = 7;
  for (let n = 0; n < 25; n++) {
    state = (state * 16807) % 2147483647;
    line += ' ' + bits(Math[name]((state / 2147483647 - 0.5) * 2 ** (n * 3 - 20), n));
  }
  console.log(line);
}
for (const text of ['7ff8000000000001', '7ff0000000000001', 'fff8000000000002', '0000000000000001']) {
  view.setBigUint64(0, BigInt('0x' + text));
  const value = view.getFloat64(0);
  console.log(bits(value), bits(value + 1), bits(-value), bits(value * 0), bits(Math.fround(value)), bits(Math.min(value, 1)));
  console.log(Buffer.from(new Float32Array([value, -value]).buffer), Buffer.from(new Float64Array([value, 0 / 0]).buffer));
}
console.log(0.1 + 0.2, 1e21 / 7, (1.005).toFixed(2), (123.456).toExponential(30), parseFloat('1e-320'), 5e-324 / 3, 2 ** 0.5, 10 ** -5, performance.now());
