let document = {
  items: Array.from({ length: 100 }, (_, n) => ({ id: n, name: `item ${n}`, price: n * 1.25, tags: ['a', 'b'] })),
};
for (let n = 0; n < 1000; n++) document = JSON.parse(JSON.stringify(document));
console.log(JSON.stringify(document).length);
