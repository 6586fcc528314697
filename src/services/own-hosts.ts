import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { foreignAddressesOf, ownAddresses } from "../system/network/own-address.ts";

/**
 * Refuses nodes of another machine: their data would be created here all the same, and clients sent there.
 * @throws OdooPgError config_invalid
 */
export async function requireOwnHosts({ nodes }: Pick<Config, "nodes">): Promise<void> {
  const problems = await Promise.all(
    nodes.map(async ({ name, host }, index) => {
      const foreign = await foreignAddressesOf(host);
      const place = `nodes[${index}].host (${name}): "${host}"`;
      if (foreign === undefined) return [`${place} is a name that is not found`];
      if (!foreign.length) return [];
      return [
        foreign.includes(host)
          ? `${place} is not an address of this machine`
          : `${place} stands for ${foreign.join(", ")}, which is not this machine`,
      ];
    }),
  );
  const found = problems.flat();
  if (!found.length) return;
  throw new OdooPgError("config_invalid", {
    message: `${found.join("\n")}\nAll nodes of a cluster run on the machine of its agent.`,
    safe: "Nothing was changed; what runs keeps running.",
    next: `Leave "host" out, or write an address of this machine (${["127.0.0.1", ...ownAddresses()].join(", ")}). For a replica on another machine, run odoo-pg there with "upstream".`,
  });
}
