import path from "node:path";
import type { Progress } from "../progress.ts";
import { monotonic, now } from "../system/clock.ts";
import { kindOf, type Owner } from "../system/files/files.ts";
import { filesBelow, regularFileBytes } from "../system/files/pool-files.ts";
import { hashFile, linesOf } from "../system/process/streams.ts";
import { writeChecks, type CataloguedBackup } from "./catalogue.ts";
import { readFilestoreList } from "./attachments/filestore-list.ts";
import { CHECKS_FILE, DIFFERENCES_FILE, MANIFEST_FILE, SEAL_FILE, SUMS_FILE } from "./manifest.ts";
import { placeOf, poolFile } from "./place.ts";
import { messageOf } from "../errors.ts";
import { setAside } from "./attachments/pool.ts";

export interface Verified {
  readonly id: string;
  readonly database: string;
  readonly ok: boolean;
  /** The damage, one line each; at most 100. */
  readonly problems: readonly string[];
}

export const PROBLEMS_NOTED = 100;
const TOLD_EVERY = 200;

export interface VerifyOptions {
  readonly owner: Owner | undefined;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads all of a backup, attachments included, and checks it against its checksums. The result is noted in the backup.
 * A damaged attachment is set aside, so that the next backup copies it again where the live file still exists.
 * @param sound SHA-1 of pool files that this run has read already: several backups share most of them
 * @returns undefined when the backup was removed meanwhile
 */
export async function verifyBackup(
  backup: CataloguedBackup,
  sound: SoundFiles,
  options: VerifyOptions,
): Promise<Verified | undefined> {
  const { id, folder, manifest, checks } = backup;
  const problems: string[] = [];
  const note = (problem: string): void => {
    if (problems.length < PROBLEMS_NOTED) problems.push(problem);
  };
  options.progress.step(manifest.database, `verify ${id}`);
  const total = manifest.size_bytes + (manifest.filestore.included ? manifest.filestore.bytes : 0);
  let done = 0;
  let told = monotonic();
  const read = (bytes: number): void => {
    options.signal?.throwIfAborted();
    done += bytes;
    if (monotonic() - told < TOLD_EVERY) return;
    told = monotonic();
    options.progress.bytes(manifest.database, done, total);
  };
  try {
    await verifyFolder(folder, note, read);
    if (manifest.filestore.included) {
      const seen = await verifyAttachments(folder, sound, note, read, options);
      if (seen.files !== manifest.filestore.files || seen.bytes !== manifest.filestore.bytes) {
        note(
          `the list names ${seen.files} attachments of ${seen.bytes} bytes, not ${manifest.filestore.files} of ${manifest.filestore.bytes}`,
        );
      }
    }
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if ((await kindOf(folder)) === undefined) return undefined;
    note(messageOf(error));
  }
  if ((await kindOf(folder)) === undefined) return undefined;
  const ok = problems.length === 0;
  await writeChecks(
    folder,
    { ...checks, verified_at: ok ? new Date(now()).toISOString() : null, problems },
    options.owner,
  );
  return { id, database: manifest.database, ok, problems };
}

/** Every file that the checksums name is there and unchanged, and there is none that they do not name. */
export async function verifyFolder(
  folder: string,
  note: (problem: string) => void,
  read: (bytes: number) => void,
): Promise<void> {
  const sums = path.join(folder, SUMS_FILE);
  if ((await kindOf(sums)) !== "file") return note(`${SUMS_FILE} is missing`);
  const named = new Set<string>([SUMS_FILE, SEAL_FILE, CHECKS_FILE, DIFFERENCES_FILE]);
  for await (const line of linesOf(sums)) {
    const [, digest, name] = /^([0-9a-f]{64}) {2}([^/\0]+)$/.exec(line) ?? [];
    if (digest === undefined || name === undefined) {
      note(`${SUMS_FILE} holds a line that cannot be read`);
      continue;
    }
    named.add(name);
    const file = path.join(folder, name);
    if ((await kindOf(file)) !== "file") {
      note(`${name} is missing`);
      continue;
    }
    const found = await hashFile(file, "sha256");
    if (found.digest !== digest) note(`${name} is damaged`);
    read(found.bytes);
  }
  if (!named.has(MANIFEST_FILE)) note(`${SUMS_FILE} does not name ${MANIFEST_FILE}`);
  for (const name of filesBelow(folder)) if (!named.has(name)) note(`${name} is not part of the backup`);
}

async function verifyAttachments(
  folder: string,
  sound: SoundFiles,
  note: (problem: string) => void,
  read: (bytes: number) => void,
  { owner }: VerifyOptions,
): Promise<{ files: number; bytes: number }> {
  // The attachments of a backup named by its path are beside it, too.
  const place = placeOf(path.dirname(folder));
  const seen = { files: 0, bytes: 0 };
  for await (const { sha1, bytes, storeFname } of readFilestoreList(folder)) {
    seen.files += 1;
    seen.bytes += bytes;
    const file = poolFile(place, sha1);
    const there = regularFileBytes(file);
    if (there === undefined) note(`attachment ${storeFname} is missing in the pool`);
    else if (!sound.has(sha1)) {
      if ((await hashFile(file, "sha1")).digest === sha1) sound.add(sha1);
      else {
        // In a read-only place, it stays where it is.
        await setAside(place, sha1, owner).catch(() => {});
        note(`attachment ${storeFname} is damaged in the pool`);
      }
    }
    read(bytes);
  }
  return seen;
}

/** Which files of the pool were read and found right, in 21 bytes each at most. */
export class SoundFiles {
  readonly #digests = new Set<string>();

  has(sha1: string): boolean {
    return this.#digests.has(key(sha1));
  }

  add(sha1: string): void {
    // Beyond that, files are read again rather than remembered: memory stays flat.
    if (this.#digests.size < REMEMBERED) this.#digests.add(key(sha1));
  }
}

const REMEMBERED = 500_000;

function key(sha1: string): string {
  return Buffer.from(sha1, "hex").toString("latin1");
}
