let total = 0;
for (let i = 0; i < 50_000_000; i++) total = (total * 31 + i) | 0;
console.log(total >>> 0);
