let state = 1;
const numbers = [];
for (let n = 0; n < 300_000; n++) {
  state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
  numbers.push(state);
}
numbers.sort((a, b) => a - b);
console.log(numbers[0], numbers[150_000], numbers[299_999]);
