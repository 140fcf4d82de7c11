// Errors that surface late, deep and from elsewhere.
let depth = 0;
const deep = () => { depth += 1; deep(); };
try { deep(); } catch (error) { console.log(error.message, depth, error.stack.length); }
process.on('unhandledRejection', (error, promise) => console.log('rejected', error.message, promise, performance.now()));
process.on('warning', (warning) => console.log(warning.name, warning.message));
for (let n = 0; n < 5; n++) Promise.reject(new Error(`late ${n}`));
process.emitWarning('careful');
setTimeout(() => {
  try { new Array(-1); } catch (error) { console.log(error.stack); }
  try { 'x'.repeat(2 ** 30); } catch (error) { console.log(error.message); }
  try { null.x; } catch (error) { console.log(error.message); }
  process.on('uncaughtException', (error) => console.log('uncaught', error.message, process.hrtime.bigint()));
  setTimeout(() => { throw new Error('last'); }, 1);
}, 2);
