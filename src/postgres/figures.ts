import type { Config } from "../config/schema.ts";
import type { Figures } from "../config/settings/load.ts";
import { diskKindOf } from "../system/files/disk-kind.ts";
import { diskSpace } from "../system/files/files.ts";
import { capacityOf, isInContainer } from "../system/process/limits.ts";
import { findPostmaster } from "./server.ts";

/** The user's figures for the machine, instead of those observed. */
export interface GivenFigures {
  readonly memoryBytes?: number | undefined;
  readonly cpus?: number | undefined;
  readonly disk?: "ssd" | "hdd" | undefined;
}

/** The figures, each with how it is known. */
export interface SeenFigures {
  readonly figures: Figures;
  readonly memoryFrom: string;
  readonly cpusFrom: string;
  readonly diskFrom: string;
}

/** Of a container without a memory limit: it has as many neighbours as the services of `odoo-pg compose`. */
const NODES_OF_COMPOSE = 2;

/**
 * Reads what the machine gives the nodes. Where they run, the limits are those of the server's own control group.
 * @param dataDir of one node, which stands for all; it need not be there yet
 */
export async function seeFigures(
  config: Pick<Config, "nodes" | "networks">,
  dataDir: string,
  platform: string,
  given: GivenFigures = {},
): Promise<SeenFigures> {
  const postmaster = await findPostmaster(dataDir);
  const [capacity, disk, space, container] = await Promise.all([
    capacityOf(postmaster?.pid ?? "self"),
    diskKindOf(dataDir),
    diskSpace(dataDir),
    isInContainer(),
  ]);
  const shared = platform === "linux" ? await diskSpace("/dev/shm").catch(() => undefined) : undefined;
  // Replica and Odoo are then other containers of the same host, and all of them see the whole of its memory.
  const crowded = container && !capacity.memoryLimited && given.memoryBytes === undefined;
  const device = disk.device === undefined ? "the disk" : `disk ${disk.device}`;
  return {
    figures: {
      memoryBytes: given.memoryBytes ?? capacity.memoryBytes,
      cpus: given.cpus ?? capacity.cpus,
      disk: given.disk ?? disk.kind ?? "ssd",
      diskBytes: space.totalBytes,
      nodes: crowded ? Math.max(NODES_OF_COMPOSE, config.nodes.length) : config.nodes.length,
      odooHere: crowded || config.networks.length === 0,
      readsAhead: platform === "linux",
      sharedBytes: shared?.totalBytes,
    },
    memoryFrom: memoryFrom(),
    cpusFrom:
      given.cpus === undefined ? (capacity.cpusLimited ? "limit of the container" : "machine") : "given",
    diskFrom:
      given.disk === undefined
        ? disk.kind === undefined
          ? `assumed: ${device} does not say; else --disk hdd`
          : device
        : "given",
  };

  function memoryFrom(): string {
    if (given.memoryBytes !== undefined) return "given";
    if (capacity.memoryLimited) return "limit of the container";
    return crowded ? "machine, shared with other containers: this one has no limit" : "machine";
  }
}
