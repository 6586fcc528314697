import path from "node:path";
import { archivePlaceOf } from "../archive/place.ts";
import { backupPlaceOf } from "../backup/place.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import type { CopyStatus } from "../model/backups/copy-status.ts";
import { command, nextStep, odooPg } from "../next-step.ts";
import { oneLine, printableLine } from "../printable.ts";
import type { Progress } from "../progress.ts";
import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { changeCopyStatus, readCopyStatus } from "../store/copy-status.ts";
import { whileCopying } from "../store/copying.ts";
import { monotonic, now } from "../system/clock.ts";
import { kindOf, type Owner } from "../system/files/files.ts";
import { describe } from "./description.ts";
import {
  copyFolders,
  dropCopy,
  ensureRepository,
  listCopies,
  listFolder,
  openRestic,
  tidyRepository,
  unlockRepository,
  type CopiedNode,
  type Elsewhere,
  type Restic,
  type ResticOptions,
} from "./restic.ts";

/** Left out: what is unfinished, and files that only say who is at work: pgBackRest, the pool, a backup, a lock. */
const IN_THE_MAKING = [
  "*.pgbackrest.tmp",
  ".kept",
  ".new.*",
  "*.in_progress",
  "*.removing",
  "*.tmp",
  ".odoo-pg-*.lock*",
];

/** Milliseconds between two removals of older copies. */
const TIDY_EVERY = 86_400_000;

/** Attempts at a copy where something vanishes meanwhile, as an unfinished file does. */
const ATTEMPTS = 3;

export interface CopyOptions extends ResticOptions {
  /** Owner of the repository of any second; undefined where everything belongs to one user. */
  readonly serverOwner: Owner | undefined;
}

/**
 * Copies elsewhere what is new since the last copy, and notes the result.
 * @throws OdooPgError locked while the same copy is being made, or why there is none
 */
export async function copyElsewhere(
  config: Config,
  layout: Layout,
  elsewhere: Elsewhere,
  options: CopyOptions,
  progress: Progress,
): Promise<CopyStatus> {
  const { name } = elsewhere;
  return await whileCopying(layout, name, options.signal, async () => {
    const begun = monotonic();
    const before = await readCopyStatus(layout, name);
    await changeCopyStatus(layout, name, { begun_at: iso() });
    try {
      const restic = await openRestic(elsewhere, { ...options, layout });
      // Where copies have been made before, a missing repository is an error, not a new beginning.
      if (before.copied_at === null) await ensureRepository(restic);
      const cutOff = wasCutOff(before);
      if (cutOff) await dropUnproven(restic, config.cluster, before);
      progress.step(null, `copy to ${name}`);
      const made = await copyAll(config, layout, name, restic, options.serverOwner);
      const status = await changeCopyStatus(layout, name, {
        copied_at: made.at,
        snapshot: made.snapshot,
        added_bytes: made.addedBytes,
        seconds: Math.round((monotonic() - begun) / 10) / 100,
        error: null,
      });
      // One that was killed ends a moment later, on a busy machine after our first check: it still held its lock then.
      if (cutOff) await dropUnproven(restic, config.cluster, before, made.snapshot).catch(() => {});
      return await tidyIfDue(config, layout, restic, status, progress);
    } catch (error) {
      const failure = withNext(toOdooPgError(error), elsewhere);
      await changeCopyStatus(layout, name, { error: oneLine(failure.message) });
      throw failure;
    }
  });
}

/** Restic's own error: the cause can only be its repository or the passphrase. */
function withNext(error: OdooPgError, { name, passphrase_file: passphrase }: Elsewhere): OdooPgError {
  if (error.code !== "command_failed" || error.next !== undefined) return error;
  return new OdooPgError("command_failed", {
    message: error.message,
    safe: "Earlier copies are untouched.",
    next: nextStep`see that its repository can be reached and that ${passphrase} holds its passphrase, then: ${odooPg("backup", "copy", "--to", name)}`,
    cause: error,
  });
}

/** Whether the last copy that was begun did not come to its end. */
function wasCutOff({ begun_at: begunAt, copied_at: copiedAt }: CopyStatus): boolean {
  return begunAt !== null && (copiedAt === null || copiedAt < begunAt);
}

/**
 * Removes what a killed copy may have left: its lock, and a snapshot that was not checked yet. Where this user may not
 * remove anything, another one does.
 * @param made a snapshot that was made since
 */
async function dropUnproven(
  restic: Restic,
  cluster: string,
  { begun_at: begunAt, snapshot }: CopyStatus,
  made?: string,
): Promise<void> {
  await unlockRepository(restic);
  for (const { id, time, hostname } of await listCopies(restic)) {
    const isProven = [snapshot, made].some((proven) => typeof proven === "string" && id.startsWith(proven));
    if (hostname !== cluster || isProven || Date.parse(time) < Date.parse(begunAt ?? "")) continue;
    // One that cannot be removed is no good copy either: only what was checked is recorded as one.
    await dropCopy(restic, id).catch(() => {});
  }
}

async function copyAll(
  config: Config,
  layout: Layout,
  name: string,
  restic: Restic,
  serverOwner: Owner | undefined,
): Promise<{ at: string; snapshot: string; addedBytes: number }> {
  const { repository } = archivePlaceOf(config, layout);
  const folders = [backupPlaceOf(config).dir];
  if (config.backup.any_second.enabled) folders.push(repository);
  let why = "";
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const at = iso();
    const description = await describe(config, layout, name);
    const present: string[] = [];
    for (const folder of folders) if ((await kindOf(folder)) === "directory") present.push(folder);
    const made = await copyFolders(restic, [description, ...present], {
      cluster: config.cluster,
      excludes: IN_THE_MAKING.map((pattern) => pattern),
    });
    if (made.kind === "incomplete") {
      ({ why } = made);
      continue;
    }
    if (serverOwner && present.includes(repository))
      await requireTheirs(restic, made.snapshot, repository, serverOwner);
    return { at, snapshot: made.snapshot, addedBytes: made.addedBytes };
  }
  throw new OdooPgError("command_failed", {
    message: `${path.basename(restic.program)} could not read all of what is to be copied, ${ATTEMPTS} times, so no copy was kept: ${why}`,
    safe: "Earlier copies are untouched.",
    next: odooPg("backup", "copy", "--to", name),
  });
}

/**
 * Restic opens files by name with all our rights, and the repository of any second belongs to the servers' user, who
 * could swap a folder while it is read. Restic notes the owner of each file that it read: a copy with files of other
 * owners is not kept. @throws OdooPgError command_failed
 */
async function requireTheirs(
  restic: Restic,
  snapshot: string,
  repository: string,
  { uid, name = String(uid) }: Owner,
): Promise<void> {
  const foreign = firstForeign(await listFolder(restic, snapshot, repository), uid);
  if (!foreign) return;
  await dropCopy(restic, snapshot);
  throw new OdooPgError("command_failed", {
    message: `${printableLine(foreign.path)} is not a file of ${name} alone: the copy was not kept.`,
    safe: "Earlier copies are untouched.",
    next: command("ls", "-l", path.dirname(foreign.path)),
  });
}

/** The first entry that is not a file, a folder or a link of a user. */
export function firstForeign(nodes: readonly CopiedNode[], uid: number): CopiedNode | undefined {
  return nodes.find((node) => node.uid !== uid || !["dir", "file", "symlink"].includes(node.type));
}

async function tidyIfDue(
  { cluster }: Config,
  layout: Layout,
  restic: Restic,
  status: CopyStatus,
  progress: Progress,
): Promise<CopyStatus> {
  const { name, tidied_at: tidiedAt } = status;
  // A new repository has nothing to remove.
  if (tidiedAt === null) return await changeCopyStatus(layout, name, { tidied_at: iso() });
  if (now() - Date.parse(tidiedAt) < TIDY_EVERY) return status;
  progress.step(null, `remove older copies from ${name}`);
  try {
    await tidyRepository(restic, cluster);
    return await changeCopyStatus(layout, name, { tidied_at: iso() });
  } catch (error) {
    const words = oneLine(toOdooPgError(error).message);
    return await changeCopyStatus(layout, name, {
      error: `the copy was made; older ones were not removed: ${words}`,
    });
  }
}

function iso(): string {
  return new Date(now()).toISOString();
}
