import { FaaSClient } from '@faas/sdk';

const client = new FaaSClient({
  apiKey: process.env.FAAS_API_KEY,
  endpoint: 'https://api.faas.platform'
});

// Execute with streaming
const execution = await client.execute({
  code: 'for i in range(10): print(i)',
  language: 'python',
  mode: 'cached'
});

// Stream output
const stream = client.stream(execution.id);
stream.on('output', (data) => console.log(data));
stream.on('complete', (exitCode) => console.log('Done:', exitCode));
