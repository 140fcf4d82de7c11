// Writes `src/schema.ts`, the types of what goes over the wire, from the API's description.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import openapi, { astToString } from "openapi-typescript";

const described = new URL("../../../api/openapi.json", import.meta.url);
const target = new URL("../src/schema.ts", import.meta.url);
const head = "// Generated from api/openapi.json by scripts/types.mjs. Not committed.\n\n";

/** Leaves the file alone when it is that already. */
export async function writeTypes() {
  const made = head + astToString(await openapi(described));
  if ((await readFile(target, "utf8").catch(() => "")) !== made) await writeFile(target, made);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await writeTypes();
