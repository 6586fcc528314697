import {
  readApplied,
  readState,
  recordedPrimary,
  type Applied,
  type ClusterState,
} from "../../store/state.ts";
import { nodeLayoutOf, type Layout } from "../../config/layout.ts";
import type { Origins } from "../../config/origins.ts";
import type { Config } from "../../config/schema.ts";
import { shownSettings } from "../../postgres/sql/operations.ts";
import { configuredParameters } from "../../postgres/render.ts";
import { seeFigures, type GivenFigures, type SeenFigures } from "../../postgres/figures.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { within } from "../../system/clock.ts";
import type { Machine } from "../../system/machine.ts";
import { keptSettings } from "../../store/kept-settings.ts";
import type { Present, RunningSetting } from "./advice.ts";
import type { TunedSetting } from "../../config/settings/table.ts";

/** Milliseconds that the primary may take to tell its settings. */
const ASK_TIMEOUT = 3000;

export interface Place {
  readonly config: Config;
  readonly layout: Layout;
  readonly origins: Origins;
  readonly machine: Machine;
}

/** What settings are compared for. */
export interface Compared extends SeenFigures {
  /** Major version of the server; undefined before the first launch. */
  readonly major: number | undefined;
  /** The node that stands for all: the primary where odoo-pg runs it. */
  readonly node: Config["nodes"][number];
}

/** Reads what the machine gives the nodes, and which of them stands for all. */
export async function seeMachine(place: Place, given: GivenFigures): Promise<Compared> {
  const { config, layout, machine } = place;
  const [applied, state] = await Promise.all([readApplied(layout), readState(layout)]);
  const node = nodeFor(config, applied, state);
  const { dataDir } = nodeLayoutOf(layout, node);
  const seen = await seeFigures(config, dataDir, machine.platform, given);
  return { ...seen, major: config.postgres.version ?? applied?.major, node };
}

/** The primary, where odoo-pg runs it; else the first node, which has the same parameters. */
function nodeFor(
  config: Config,
  applied: Applied | undefined,
  state: ClusterState | undefined,
): Config["nodes"][number] {
  const known = recordedPrimary([...(applied?.config.nodes ?? []), ...config.nodes], state);
  const node = known ?? config.nodes[0];
  if (!node) throw new Error("A configuration has at least one node.");
  return node;
}

/** The settings as they are now: asked from the server, or undefined with the reason; and as they are configured. */
export async function seeSettings(
  place: Place,
  seen: Compared,
  settings: readonly TunedSetting[],
): Promise<{ present: Present; silence: string | undefined }> {
  const { config, layout, origins, machine } = place;
  const state = await readState(layout);
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
    facts: { ...machine, diskBytes: seen.figures.diskBytes, major: seen.major },
    kept: await keptSettings(place, state, seen.major),
    upstream: undefined,
    floor: {},
  });
  let running: ReadonlyMap<string, RunningSetting> | undefined;
  let silence: string | undefined;
  if (state === undefined) silence = "the cluster was never started";
  else {
    const superuser = Superuser.of(layout, seen.node);
    try {
      const asked = superuser.use(async (session) => await shownSettings(session, names), {
        // The settings that are read are not set for the session.
        settings: Object.fromEntries(names.map((name) => [name, undefined])),
      });
      running = await within(ASK_TIMEOUT, seen.node.name, asked);
    } catch {
      silence = `${seen.node.name} does not answer`;
    }
  }
  return { present: { running, configured, environment }, silence };
}
