// Drives a node with polkadot.js as it is, and says what it saw, as a line of JSON.
// Arguments: WebSocket URL, blueprint id, service id, seeds of customer (sr25519) and operator (ed25519),
// and a job's arguments and a result as Vec<Field>, all in hexadecimal.
import { ApiPromise, WsProvider } from "@polkadot/api";
import { Keyring } from "@polkadot/keyring";

const [url, blueprint, service, customerSeed, operatorSeed, args, result] = process.argv.slice(2);
const api = await ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true, throwOnConnect: true });
const customer = new Keyring({ type: "sr25519" }).addFromSeed(Buffer.from(customerSeed.slice(2), "hex"));
const operator = new Keyring({ type: "ed25519" }).addFromSeed(Buffer.from(operatorSeed.slice(2), "hex"));
const seen = { metadata: api.runtimeMetadata.version, spec: api.runtimeVersion.specVersion.toNumber() };

const send = (call, who) =>
  new Promise((resolve, reject) => {
    call
      .signAndSend(who, { era: 64 }, ({ status, events, dispatchError }) => {
        if (!status.isFinalized) return;
        const names = events.map(({ event }) => `${event.section}.${event.method}`);
        const found = events.find(({ event }) => event.section === "services");
        const error = dispatchError?.isModule
          ? api.registry.findMetaError(dispatchError.asModule).name
          : dispatchError?.toString();
        resolve({ names, error: error ?? null, data: found?.event.data });
      })
      .catch(reject);
  });

const instance = (await api.query.services.instances(service)).unwrap();
seen.owner = instance.owner.toHex() === `0x${Buffer.from(customer.publicKey).toString("hex")}`;
seen.services = (await api.query.services.serviceStatus.keys(blueprint)).map((key) => key.args[1].toString());
const fields = api.registry.createType(api.tx.services.call.meta.args[2].type.toString(), args);
seen.same_bytes = fields.toHex() === args;
const called = await send(api.tx.services.call(service, 0, fields), customer);
const call = called.data[2].toString();
seen.called = { names: called.names, call, args: called.data[4].toHex() === args };
const answer = api.registry.createType(api.tx.services.submitResult.meta.args[2].type.toString(), result);
const posted = await send(api.tx.services.submitResult(service, call, answer), operator);
seen.posted = { names: posted.names, error: posted.error, result: posted.data[4].toHex() === result };
const stored = (await api.query.services.jobResults(service, call)).unwrap();
seen.stored = stored.result.toHex() === result;
const burned = await send(api.tx.credits.burn(5_000_000_000_000_000_000n), customer);
seen.burned = burned.names;
const refused = await send(api.tx.services.call(service, 50, fields), customer);
seen.refused = refused.error;
const header = await api.rpc.chain.getHeader();
seen.header_hash = header.hash.toHex() === (await api.rpc.chain.getBlockHash(header.number.toNumber())).toHex();
seen.nonce = (await api.query.system.account(customer.address)).nonce.toNumber();
console.log(JSON.stringify(seen));
await api.disconnect();
