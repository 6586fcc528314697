import * as z from "zod";
import type { Layout } from "../cluster/layout.ts";
import { resolvedConfigSchema, type Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { readTextIfAny, writeFileAtomic, type Owner } from "../system/files.ts";

/** What was applied last. Its presence marks a directory as a state directory of odoo-pg. */
const appliedSchema = z.object({
  format: z.literal(1),
  config: resolvedConfigSchema,
  major: z.number().int(),
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

const stateSchema = z.object({
  format: z.literal(1),
  /** 64-bit number as text. */
  cluster: z.string(),
  system_identifier: z.string().nullable(),
  primary: z.string(),
  history: historySchema.array(),
  /** Nodes that were taken out of the configuration: their slots go. */
  removed: z.string().array().default([]),
});
export type ClusterState = z.output<typeof stateSchema>;

async function readJson<T>(file: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readTextIfAny(file);
  if (text === undefined) return undefined;
  let problem: unknown;
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
    problem = parsed.error.issues[0]?.message;
  } catch (error) {
    problem = error;
  }
  throw new OdooPgError("state_dir_unusable", {
    message: `${file} is damaged, or was written by a newer odoo-pg: ${String(problem)}`,
    safe: "Nothing was changed; the data directories are not concerned.",
    next: "Put the file back from a copy. It names the primary, so it is never guessed anew.",
  });
}

export async function readApplied(layout: Layout): Promise<Applied | undefined> {
  return await readJson(layout.appliedFile, appliedSchema);
}

export async function writeApplied(
  layout: Layout,
  config: Config,
  major: number,
  owner: Owner | undefined,
): Promise<void> {
  const applied: Applied = { format: 1, config, major };
  await writeFileAtomic(layout.appliedFile, `${JSON.stringify(applied, undefined, 2)}\n`, { owner });
}

export async function readState(layout: Layout): Promise<ClusterState | undefined> {
  return await readJson(layout.stateFile, stateSchema);
}

export async function writeState(
  layout: Layout,
  state: ClusterState,
  owner: Owner | undefined,
): Promise<void> {
  await writeFileAtomic(layout.stateFile, `${JSON.stringify(state, undefined, 2)}\n`, { owner });
}
