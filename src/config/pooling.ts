import type { Config } from "./schema.ts";

type Endpoint = "read" | "write";

/** The endpoints whose clients share sessions of the servers. */
export function pooledEndpoints({ endpoints }: Pick<Config, "endpoints">): Endpoint[] {
  return (["write", "read"] as const).filter((name) => endpoints[name].pooling === "transaction");
}

export function isPooled(config: Pick<Config, "endpoints">, endpoint: Endpoint): boolean {
  return pooledEndpoints(config).includes(endpoint);
}

export function isAnyPooled(config: Pick<Config, "endpoints">): boolean {
  return pooledEndpoints(config).length > 0;
}
