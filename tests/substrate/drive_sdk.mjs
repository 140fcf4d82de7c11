// Carries out calls of the TypeScript SDK, one JSON array [method, ...arguments] a line on standard input, and
// answers each with a line of JSON. Arguments: the module of the SDK, and its options as JSON.
import { createInterface } from "node:readline";

const [module, options] = process.argv.slice(2);
const { TangleFaaSClient } = module.endsWith(".cjs") ? (await import(module)).default : await import(module);
const client = new TangleFaaSClient(JSON.parse(options));
const known = [];
const plain = (_, value) => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  return typeof value === "bigint" ? Number(value) : value;
};
for await (const line of createInterface({ input: process.stdin })) {
  const [method, ...given] = JSON.parse(line).map((item) => {
    if (item?.changed !== undefined) return Object.assign(Object.create(known[item.of]), item.changed);
    return item?.of === undefined ? item : known[item.of];
  });
  try {
    const answer = await client[method](...given);
    known.push(answer);
    console.log(JSON.stringify({ answer: answer?.receiptFile ? { ...answer, signed: answer.receipt } : answer }, plain));
  } catch (error) {
    known.push(undefined);
    console.log(JSON.stringify({ error: error.constructor.name, reason: error.reason, message: error.message }));
  }
}
