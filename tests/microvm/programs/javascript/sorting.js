// Locales, sorting of equals, order of keys.
const words = ['Zebra', 'apple', 'Äpfel', 'éclair', 'eclair', 'ß', 'ss', 'İ', 'i', '10', '9', '_'];
for (const name of [undefined, 'de', 'sv', 'tr', 'en-u-kn-true']) console.log(name, [...words].sort(new Intl.Collator(name).compare));
console.log([...words].sort(), [...words].sort((a, b) => a.localeCompare(b)), words.map((word) => word.normalize('NFKD').toLocaleUpperCase('tr')));
console.log(new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(1234567.891), new Date(0).toLocaleString('ja-JP'), new Date().toLocaleString());
const same = Array.from({ length: 600 }, (_, n) => ({ n, key: Math.floor(Math.random() * 5) }));
console.log(same.sort((a, b) => a.key - b.key).map((value) => value.n).join(' '));
console.log(Object.keys({ b: 1, 2: 1, a: 1, 1: 1 }), [...new Set(words.map((word) => word.length))], same.sort(() => Math.random() - 0.5)[0]);
