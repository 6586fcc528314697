import type { Source } from "../../archive/copying/source.ts";
import { askTlsBytes, type TlsIdentity } from "../../system/network/mutual-tls.ts";
import { AGENT_PORT } from "../documents/places.ts";
import type { Host } from "../documents/record.ts";

/** The repository of another host, as its agent shows it. */
export function repositorySource(
  identity: TlsIdentity,
  { name, address }: Pick<Host, "name" | "address">,
  port = AGENT_PORT,
): Source {
  return {
    name,
    ask: async (path, body, { timeout, most, signal }) =>
      await askTlsBytes(
        { host: address, port, method: "POST", path, body, trust: identity, timeout, signal },
        most,
      ),
  };
}
