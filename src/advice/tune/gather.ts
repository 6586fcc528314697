import { readApplied, readState, type Applied } from "../../store/state.ts";
import { nodeLayoutOf, type Layout } from "../../config/layout.ts";
import type { Origins } from "../../config/origins.ts";
import type { Config } from "../../config/schema.ts";
import { shownSettings } from "../../postgres/sql/operations.ts";
import { configuredParameters } from "../../postgres/render.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { Superuser } from "../../postgres/sql/superuser.ts";
import { within } from "../../system/clock.ts";
import { diskKindOf } from "../../system/files/disk-kind.ts";
import { diskSpace } from "../../system/files/files.ts";
import { capacityOf } from "../../system/process/limits.ts";
import type { Present, RunningSetting } from "./advice.ts";
import type { Figures } from "./load.ts";
import type { TunedSetting } from "./settings.ts";

/** Milliseconds that the primary may take to tell its settings. */
const ASK_LIMIT = 3000;

/** What the user says of the machine, in the place of what can be seen. */
export interface GivenFigures {
  readonly memoryBytes: number | undefined;
  readonly cpus: number | undefined;
  readonly disk: "ssd" | "hdd" | undefined;
}

export interface Place {
  readonly config: Config;
  readonly layout: Layout;
  readonly origins: Origins;
  readonly platform: string;
  /** As the agent reads it: what it sizes its own defaults by. */
  readonly memoryBytes: number;
}

/** The figures, each with how it is known. */
export interface SeenFigures {
  readonly figures: Figures;
  readonly memoryFrom: string;
  readonly cpusFrom: string;
  readonly diskFrom: string;
  /** Major version of the server; undefined before the first launch. */
  readonly major: number | undefined;
  /** The node that stands for all: the primary where odoo-pg runs it. */
  readonly node: Config["nodes"][number];
}

/** Reads what the machine gives the nodes. Where they run, the limits are those of the server's own control group. */
export async function seeFigures(place: Place, given: GivenFigures): Promise<SeenFigures> {
  const { config, layout } = place;
  const [applied, state] = await Promise.all([readApplied(layout), readState(layout)]);
  const node = nodeFor(config, applied, state?.primary);
  const { dataDir } = nodeLayoutOf(layout, node);
  const postmaster = await findPostmaster(dataDir);
  const [capacity, disk, space] = await Promise.all([
    capacityOf(postmaster?.pid ?? "self"),
    diskKindOf(dataDir),
    diskSpace(dataDir),
  ]);
  const device = disk.device === undefined ? "the disk" : `disk ${disk.device}`;
  return {
    figures: {
      memoryBytes: given.memoryBytes ?? capacity.memoryBytes,
      cpus: given.cpus ?? capacity.cpus,
      disk: given.disk ?? disk.kind ?? "ssd",
      diskBytes: space.totalBytes,
      nodes: config.nodes.length,
      odooHere: config.networks.length === 0,
      readsAhead: place.platform === "linux",
    },
    memoryFrom:
      given.memoryBytes === undefined
        ? capacity.memoryLimited
          ? "limit of the container"
          : "machine"
        : "given",
    cpusFrom:
      given.cpus === undefined ? (capacity.cpusLimited ? "limit of the container" : "machine") : "given",
    diskFrom:
      given.disk === undefined
        ? disk.kind === undefined
          ? `taken for granted: ${device} does not tell; else --disk hdd`
          : device
        : "given",
    major: config.postgres.version ?? applied?.major,
    node,
  };
}

/** The primary, where odoo-pg runs it; else the first node, which has the same parameters. */
function nodeFor(
  config: Config,
  applied: Applied | undefined,
  primary: string | undefined,
): Config["nodes"][number] {
  const known = [...(applied?.config.nodes ?? []), ...config.nodes].find(({ name }) => name === primary);
  const node = known ?? config.nodes[0];
  if (!node) throw new Error("A configuration has at least one node.");
  return node;
}

/** The settings as they are now: asked from the server, or undefined with the reason; and as they are configured. */
export async function seeSettings(
  place: Place,
  seen: SeenFigures,
  settings: readonly TunedSetting[],
): Promise<{ present: Present; silence: string | undefined }> {
  const { config, layout, origins } = place;
  const names = settings.map(({ name }) => name);
  const environment = new Map(
    names.flatMap((name) => {
      const origin = origins.get(`postgres.parameters.${name}`);
      return origin?.kind === "environment" ? [[name, origin.name] as const] : [];
    }),
  );
  const configured = configuredParameters({
    config,
    layout,
    node: seen.node,
    files: nodeLayoutOf(layout, seen.node),
    facts: {
      memoryBytes: place.memoryBytes,
      diskBytes: seen.figures.diskBytes,
      hasLoopbackNetwork: true,
    },
    upstream: undefined,
    floor: {},
  });
  let running: ReadonlyMap<string, RunningSetting> | undefined;
  let silence: string | undefined;
  if ((await readState(layout)) === undefined) silence = "the cluster was never started";
  else {
    const superuser = Superuser.of(layout, seen.node);
    try {
      const asked = superuser.use(async (session) => await shownSettings(session, names), {
        // What is asked for is not set for the session.
        settings: Object.fromEntries(names.map((name) => [name, undefined])),
      });
      running = await within(ASK_LIMIT, seen.node.name, asked);
    } catch {
      silence = `${seen.node.name} does not answer`;
    }
  }
  return { present: { running, configured, environment }, silence };
}
