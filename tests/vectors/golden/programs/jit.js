class Body { constructor(x, y, m) { this.x = x; this.y = y; this.vx = 0; this.vy = 0; this.m = m; } }
const bodies = Array.from({ length: 20 }, (_, n) => new Body(Math.cos(n) * n, Math.sin(n) * n, 1 + (n % 3)));
for (let step = 0; step < 300; step++) {
  for (const a of bodies) for (const b of bodies) if (a !== b) {
    const dx = b.x - a.x, dy = b.y - a.y, d = Math.sqrt(dx * dx + dy * dy + 0.01);
    a.vx += (dx * b.m) / d ** 3 * 0.001; a.vy += (dy * b.m) / d ** 3 * 0.001;
  }
  for (const a of bodies) { a.x += a.vx; a.y += a.vy; }
}
console.log(bodies.map((b) => [b.x, b.y]));
const words = new Map();
for (let n = 0; n < 40000; n++) { const w = 'w' + ((n * 7919) % 997); words.set(w, (words.get(w) || 0) + n); }
console.log([...words].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5));
const garbage = []; for (let n = 0; n < 200000; n++) { garbage.push({ n, s: String(n) }); if (garbage.length > 5000) garbage.length = 0; }
console.log(process.memoryUsage().heapUsed, new Error('here').stack);
console.log([Math.sin(1e22), Math.tan(10), Math.exp(1.5), Math.log1p(1e-10), 0.1 + 0.2, NaN ** 0, (-8) ** (1 / 3)]);
console.log(new Intl.DateTimeFormat('de-DE', { dateStyle: 'full', timeStyle: 'long', timeZone: 'UTC' }).format(new Date()), ['ä', 'z', 'a'].sort(new Intl.Collator('sv').compare));
