import path from "node:path";
import * as z from "zod";
import { archivePlaceOf } from "../archive/place.ts";
import { backupPlaceOf } from "../backup/place.ts";
import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { observeServer } from "../postgres/sql/observing/facts.ts";
import { Superuser } from "../postgres/sql/access/superuser.ts";
import { passwordFile, type KeptPassword } from "../store/secrets.ts";
import { readApplied, readState, recordedPrimary, stateSchema, type ClusterState } from "../store/state.ts";
import { now } from "../system/clock.ts";
import { ensureDirectory, readTextIfAny, removeTree, writeFileAtomic } from "../system/files/files.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { readJsonFile } from "../system/files/json-file.ts";

/** Name of the folder that describes a copy. */
export const DESCRIPTION = "odoo-pg-copy";

/** The files that list the base backups of a repository. Bytes of the largest that is accepted. */
const INFO_FILES = [
  ["archive", "archive.info"],
  ["archive", "archive.info.copy"],
  ["backup", "backup.info"],
  ["backup", "backup.info.copy"],
] as const;
const INFO_BYTES = 256 * 1024 * 1024;

const PASSWORDS: readonly KeptPassword[] = ["postgres", "replicator", "odoo", "collectd", "openerp"];

/** A path of the lost host: the files of the copy lie below this folder, and nowhere else. */
const inside = z
  .string()
  .refine((place) => path.isAbsolute(place) && path.normalize(place) === place && place !== "/");

const descriptionSchema = z.object({
  version: z.literal(1),
  /** The copy has everything that existed at this moment. ISO 8601. */
  at: z.iso.datetime(),
  cluster: z.string(),
  /** Where the copied folders were on the host. */
  backups: inside,
  /** Of any second; null where that was off. */
  repository: inside.nullable(),
  /** Major version of PostgreSQL; null where no server was started yet. */
  major: z.number().nullable(),
  /** Timeline of the primary at that time; null where the primary did not answer. */
  timeline: z.number().nullable(),
  /** Path of the configuration that was applied last. */
  config_file: z.string().nullable(),
  /** The cluster's own record. */
  state: stateSchema.nullable(),
  passwords: z.partialRecord(z.enum(["postgres", "replicator", "odoo", "collectd", "openerp"]), z.string()),
  /** By their names below the repository. */
  info: z.record(z.string(), z.string()),
});
export type Description = z.output<typeof descriptionSchema>;

/**
 * Writes what a new host needs to know besides backups and WAL, into a folder that becomes part of the copy. The lists
 * of base backups are read before anything else is copied, so that everything they name is in the copy.
 * @returns the folder
 */
export async function describe(config: Config, layout: Layout, name: string): Promise<string> {
  const folder = path.join(layout.offsiteDir, name, DESCRIPTION);
  await removeTree(folder);
  await ensureDirectory(path.dirname(folder));
  await ensureDirectory(folder);
  const [applied, state] = [await readApplied(layout), await readState(layout)];
  const place = archivePlaceOf(config, layout);
  const isArchived = config.backup.any_second.enabled;
  const description: Description = {
    version: 1,
    at: new Date(now()).toISOString(),
    cluster: config.cluster,
    backups: backupPlaceOf(config).dir,
    repository: isArchived ? place.repository : null,
    major: applied?.major ?? null,
    timeline: (await timelineOf(config, layout, state)) ?? null,
    config_file: applied?.config_file ?? null,
    state: state ?? null,
    passwords: await passwordsOf(layout),
    info: isArchived ? await infoOf(place.repository, place.stanza) : {},
  };
  await writeFileAtomic(path.join(folder, FILE), `${JSON.stringify(description, undefined, 2)}\n`);
  const text = applied?.config_file == null ? undefined : await readTextIfAny(applied.config_file);
  if (text !== undefined) await writeFileAtomic(path.join(folder, CONFIG_FILE), text);
  return folder;
}

const FILE = "copy.json";
/** The configuration as it was written, for whoever sets up a new host. */
const CONFIG_FILE = "odoo-pg.yaml";

async function timelineOf(
  config: Config,
  layout: Layout,
  state: ClusterState | undefined,
): Promise<number | undefined> {
  const node = recordedPrimary(config.nodes, state);
  if (!node) return undefined;
  const facts = await Superuser.of(layout, node)
    .use(observeServer, { connectTimeout: 5000 })
    .catch(() => undefined);
  return facts?.timeline;
}

async function passwordsOf(layout: Layout): Promise<Description["passwords"]> {
  const found: Partial<Record<KeptPassword, string>> = {};
  for (const role of PASSWORDS) {
    const text = (await readTextIfAny(passwordFile(layout, role)))?.replace(/\n$/, "");
    if (text !== undefined) found[role] = text;
  }
  return found;
}

async function infoOf(repository: string, stanza: string): Promise<Record<string, string>> {
  const info: Record<string, string> = {};
  for (const [part, name] of INFO_FILES) {
    const folder = path.join(repository, part, stanza);
    const text = await inFolder(folder, (opened) => opened.readText(name, INFO_BYTES));
    if (text !== undefined) info[`${part}/${stanza}/${name}`] = text;
  }
  return info;
}

/** The description in a copy that was fetched. @throws OdooPgError backup_damaged */
export async function readDescription(folder: string): Promise<Description> {
  const told = {
    code: "backup_damaged",
    safe: "Nothing was changed.",
    next: "Choose an earlier copy.",
  } as const;
  const description = await readJsonFile(path.join(folder, FILE), descriptionSchema, told);
  if (description) return description;
  throw new OdooPgError("backup_damaged", {
    message: "The copy does not say which cluster it is of.",
    safe: told.safe,
    next: told.next,
  });
}
