// A module with waiting at its top and imports that race.
import { setTimeout as sleep } from 'timers/promises';
import { writeFile } from 'fs/promises';
const started = performance.now();
for (const name of ['a', 'b', 'c']) await writeFile(`/work/${name}.mjs`, `export const at = performance.now(); export const name = '${name}'; await new Promise((done) => setTimeout(done, ${name.charCodeAt(0) % 3}));`);
const modules = await Promise.all(['c', 'a', 'b'].map((name) => import(`/work/${name}.mjs`)));
console.log(modules.map((module) => [module.name, module.at]), import.meta.url, performance.now() - started);
await sleep(2);
console.log(Math.random(), process.hrtime.bigint(), process.memoryUsage().external);
