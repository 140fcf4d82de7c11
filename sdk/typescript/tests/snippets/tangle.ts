import { TangleFaaSClient } from '@faas/sdk';

const client = new TangleFaaSClient({
  rpcUrl: 'wss://tangle.network',
  blueprintId: 123
});

// Submit job on-chain
const jobId = await client.submitJob({
  code: 'console.log("Verified execution")',
  language: 'javascript'
});

// Wait for result
const result = await client.waitForResult(jobId);
console.log('Verified result:', result);
