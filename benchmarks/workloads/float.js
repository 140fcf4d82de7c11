let x = 0.5;
let total = 0;
for (let i = 0; i < 10_000_000; i++) {
  x = 3.7 * x * (1 - x);
  total += x;
}
console.log(total);
