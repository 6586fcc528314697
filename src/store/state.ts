import { nextStep, odooPg } from "../next-step.ts";
import * as z from "zod";
import { UPSTREAM, type Layout } from "../config/layout.ts";
import { consistencySchema, resolvedConfigSchema, type Consistency } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { isBelievable, writeFileAtomic } from "../system/files/files.ts";
import { readJsonFile, type DamageText } from "../system/files/json-file.ts";

/** What was applied last. Its presence marks a directory as a state directory of odoo-pg. */
const appliedSchema = z.object({
  format: z.literal(1),
  config: resolvedConfigSchema,
  major: z.number().int(),
  /** The configuration file that was applied, by its absolute path. */
  config_file: z.string().nullable().default(null),
});
export type Applied = z.output<typeof appliedSchema>;

const historySchema = z.object({
  at: z.string(),
  kind: z.enum(["first launch", "switchover", "promote", "rejoin", "reseed"]),
  from: z.string().nullable(),
  to: z.string(),
  why: z.string(),
  timeline: z.number().int().nullable(),
  /** Milliseconds during which no write could be made, where it was measured. */
  writes_paused_ms: z.number().nullable(),
});
export type HistoryEntry = z.output<typeof historySchema>;

export const stateSchema = z.object({
  format: z.literal(1),
  /** 64-bit number as text. */
  cluster: z.string(),
  system_identifier: z.string().nullable(),
  primary: z.string(),
  history: historySchema.array(),
  /** Nodes that were taken out of the configuration: their slots go. */
  removed: z.string().array().default([]),
  /** PostgreSQL settings that were chosen when the cluster was made. Up to 0.1 they were not kept. */
  settings: z.record(z.string(), z.string()).optional(),
  /** When it was last stopped by `down`, and who asked for it; absent while it is to run. */
  stopped: z.object({ at: z.string(), by: z.string() }).optional(),
  /** What reads may miss where the configuration does not say it. Up to 0.1 it was not kept: `bounded`. */
  consistency: consistencySchema.optional(),
});
export type ClusterState = z.output<typeof stateSchema>;

type Recorded = Pick<ClusterState, "primary">;

/** The one of these nodes that the record names as the primary; undefined where somebody else or another host runs it. */
export function recordedPrimary<Node extends { readonly name: string }>(
  nodes: readonly Node[],
  record: Recorded | undefined,
): Node | undefined {
  return nodes.find(({ name }) => name === record?.primary);
}

/** Whether the cluster follows a primary that somebody else runs. */
export function followsUpstream(record: Recorded | undefined): boolean {
  return record?.primary === UPSTREAM;
}

const DAMAGED = {
  code: "state_dir_unusable",
  safe: "Nothing was changed; the data directories are not affected.",
  next: "Put the file back from a copy. It names the primary, so odoo-pg never guesses it.",
} as const;

/** @throws OdooPgError state_dir_unusable when damaged, or another user than root could have written it */
async function readOurs<T>(file: string, schema: z.ZodType<T>, told: DamageText): Promise<T | undefined> {
  if (await isBelievable(file)) return await readJsonFile(file, schema, told);
  throw new OdooPgError("state_dir_unusable", {
    message: `${file} does not belong to root, so it is not trusted. The state directory was made by odoo-pg up to 0.1, or its owner was changed.`,
    safe: "Nothing was changed; what runs keeps running.",
    next: nextStep`Make it root's, without a restart: ${odooPg("up")}`,
  });
}

/** @throws OdooPgError state_dir_unusable when it is damaged */
export async function readApplied(layout: Layout): Promise<Applied | undefined> {
  return await readOurs(layout.appliedFile, appliedSchema, {
    ...DAMAGED,
    next: "Put the file back from a copy. It says which settings the servers run with.",
  });
}

export async function writeApplied(layout: Layout, applied: Applied): Promise<void> {
  await writeFileAtomic(layout.appliedFile, `${JSON.stringify(applied, undefined, 2)}\n`);
}

/** @throws OdooPgError state_dir_unusable when it is damaged */
export async function readState(layout: Layout): Promise<ClusterState | undefined> {
  return await readOurs(layout.stateFile, stateSchema, DAMAGED);
}

export async function writeState(layout: Layout, state: ClusterState): Promise<void> {
  await writeFileAtomic(layout.stateFile, `${JSON.stringify(state, undefined, 2)}\n`);
}

/**
 * What reads may miss in a cluster that was made before, where its configuration does not say it; undefined where there
 * is none yet, or where it is another user's.
 */
export async function keptConsistency(layout: Layout): Promise<Consistency | undefined> {
  try {
    const state = await readState(layout);
    return state && state.system_identifier !== null ? (state.consistency ?? EARLIER) : undefined;
  } catch (error) {
    // As odoo-pg up to 0.1 made it, or damaged: the code that acts on it reports that.
    return error instanceof OdooPgError ? EARLIER : undefined;
  }
}

/** The default up to 0.1. */
const EARLIER: Consistency = "bounded";
