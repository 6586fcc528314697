import { OdooPgError } from "../errors.ts";
import { isPortFree, portHolder } from "../system/network/network.ts";

export async function requirePort(port: number, whose: string, key: string): Promise<void> {
  if (await isPortFree(port)) return;
  const holder = await portHolder(port);
  throw new OdooPgError("port_in_use", {
    message: `Port ${port} of ${whose} is in use by ${holder ? `${holder.command} (process ${holder.pid})` : "another program"}.`,
    safe: "Nothing was changed.",
    next: `Stop that program, or set another ${key} in odoo-pg.yaml.`,
  });
}
