import { OdooPgError } from "../errors.ts";
import { isPortFree, portHolder, type PortHolder } from "../system/network/network.ts";

/** A port that the cluster is about to open. */
export interface NeededPort {
  readonly port: number;
  /** Of what, for people: `node pg1`. */
  readonly whose: string;
  /** Where the configuration sets it. */
  readonly key: string;
}

/** How often free ports are searched for, and how much higher each time. */
const ROUNDS = 20;
const APART = 1000;
const LAST_PORT = 65_535;

/**
 * Refuses ports that are in use: all of them in one error, each with the program that holds it, and with ports that are free.
 * @throws OdooPgError port_in_use
 */
export async function requirePorts(needed: readonly NeededPort[]): Promise<void> {
  const taken: { needed: NeededPort; by: string }[] = [];
  for (const one of needed)
    if (!(await isPortFree(one.port)))
      taken.push({ needed: one, by: holderWords(await portHolder(one.port)) });
  const [first] = taken;
  if (!first) return;
  const others = taken.length - 1;
  const more = others === 0 ? "" : `; ${others} ${others === 1 ? "other is" : "others are"} in use too`;
  throw new OdooPgError("port_in_use", {
    message: `Port ${first.needed.port} of ${first.needed.whose} is in use by ${first.by}${more}.`,
    safe: "Nothing was changed.",
    details:
      others === 0 ? [] : taken.map(({ needed: { port, whose }, by }) => `port ${port} of ${whose}: ${by}`),
    next: `Stop that program, or set other ports in odoo-pg.yaml${await freeWords(taken.map((one) => one.needed))}.`,
  });
}

/** The folder tells apart the programs of two clusters on one host. */
function holderWords(holder: PortHolder | undefined): string {
  if (!holder) return "another program";
  const { command, pid, folder } = holder;
  return `${command} (process ${pid})${folder === undefined || folder === "/" ? "" : ` in ${folder}`}`;
}

/** The end of the next step: free ports for the keys, or the keys alone where none were found. */
async function freeWords(taken: readonly NeededPort[]): Promise<string> {
  for (let round = 1; round <= ROUNDS; round += 1) {
    const ports = taken.map(({ port }) => port + round * APART);
    if (ports.some((port) => port > LAST_PORT)) break;
    const free = await Promise.all(ports.map(async (port) => await isPortFree(port)));
    if (free.every(Boolean))
      return `; these are free: ${taken.map(({ key }, index) => `${key} ${ports[index]}`).join(", ")}`;
  }
  return `: ${taken.map(({ key }) => key).join(", ")}`;
}
