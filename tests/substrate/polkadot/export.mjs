// Writes the account of a seed as polkadot.js exports it. Arguments: sr25519 or ed25519, seed, password.
import { Keyring } from "@polkadot/keyring";
import { cryptoWaitReady } from "@polkadot/util-crypto";

await cryptoWaitReady();
const [type, seed, password] = process.argv.slice(2);
const pair = new Keyring({ type }).addFromSeed(Buffer.from(seed.slice(2), "hex"));
console.log(JSON.stringify(pair.toJson(password)));
