import path from "node:path";
import type { Layout } from "../config/layout.ts";
import {
  archiveStatusSchema,
  archivingSchema,
  type ArchiveStatus,
  type Archiving,
} from "../model/backups/archive-status.ts";
import { writeFileAtomic } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";
import { recordFileIn } from "./place.ts";

function statusFile(stateDir: string): string {
  return path.join(stateDir, "archive-status.json");
}

/** What the last base backup left; undefined where there was none or its record is damaged: the next one writes it. */
export async function readArchiveStatus(stateDir: string): Promise<ArchiveStatus | undefined> {
  const read = await inspectJsonFile(statusFile(stateDir), archiveStatusSchema);
  return read?.ok === true ? read.value : undefined;
}

export async function writeArchiveStatus(stateDir: string, status: ArchiveStatus): Promise<void> {
  await writeFileAtomic(statusFile(stateDir), `${JSON.stringify(status, undefined, 2)}\n`, { mode: 0o644 });
}

/** Undefined where nothing was ever archived, or where the record is damaged: then archiving begins again. */
export async function readArchiving(file: string): Promise<Archiving | undefined> {
  const read = await inspectJsonFile(file, archivingSchema);
  return read?.ok === true ? read.value : undefined;
}

export async function writeArchiving(file: string, archiving: Archiving): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify(archiving, undefined, 2)}\n`);
}

export interface ArchiveRecords {
  readonly status: ArchiveStatus | undefined;
  readonly archiving: Archiving | undefined;
}

/** What is known of any second without asking pgBackRest. Nothing, where another user's is looked at. */
export async function readArchive(layout: Layout): Promise<ArchiveRecords> {
  const [status, archiving] = await Promise.all([
    readArchiveStatus(layout.stateDir),
    readArchiving(recordFileIn(layout)).catch(() => undefined),
  ]);
  return { status, archiving };
}
