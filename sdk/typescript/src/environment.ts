/** The environment's variables, where there are any: browsers have none. */

interface WithProcess {
  process?: { env?: Record<string, string | undefined> };
}

/** A variable that is set and not empty. */
export function fromEnvironment(name: string): string | undefined {
  return (globalThis as WithProcess).process?.env?.[name] || undefined;
}
