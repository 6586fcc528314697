import path from "node:path";
import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { kindOf, namesIn, removeFile, writeFileAtomic, type Owner } from "../system/files/files.ts";
import { makeFolder } from "../system/files/held/by-path.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";

/** Where a repository that did not fit the cluster was put, within the one that came into its place. */
export const ASIDE = "aside-";

/** That there was a repository, and where: `archive/repository.json` in the state directory, which is on another disk. */
const markSchema = z.object({ format: z.literal(1), repository: z.string(), stanza: z.string() });
type Mark = z.output<typeof markSchema>;

/** Where a repository is, and what says so where its disk is missing. */
export interface MarkedPlace {
  readonly repository: string;
  readonly stanza: string;
  /** Undefined where nobody remembers it. */
  readonly markFile?: string | undefined;
}

/**
 * What a folder is to whoever is about to make a repository in it. `missing`: there was one, and nothing of it is left, as
 * where its disk is not mounted. Pure.
 * @param mark what the state directory says; undefined: nothing was ever there
 * @param holds whether anything of a repository is in the folder
 */
export function folderFor(
  mark: Pick<Mark, "repository" | "stanza"> | undefined,
  { repository, stanza }: Pick<MarkedPlace, "repository" | "stanza">,
  holds: boolean,
): "present" | "new" | "missing" {
  if (holds) return "present";
  return mark?.repository === repository && mark.stanza === stanza ? "missing" : "new";
}

/**
 * Makes the folder of a repository where there never was one. What is below a disk that is not mounted is left alone: a
 * repository there would be on another disk, lack what was archived before, and be hidden once the disk is back.
 * @throws OdooPgError repository_missing
 */
export async function makeRepository(place: MarkedPlace, owner: Owner | undefined): Promise<void> {
  if ((await requireRepository(place)) === "new") await makeFolder(place.repository, 0o700, owner);
  else await noteRepository(place);
}

/** @throws OdooPgError repository_missing where there was a repository, and nothing of it is left */
export async function requireRepository(place: MarkedPlace): Promise<"present" | "new"> {
  const found = folderFor(await readMark(place), place, await holdsAny(place));
  if (found !== "missing") return found;
  throw new OdooPgError("repository_missing", {
    message: `The repository of any second is not in ${place.repository} any more: its disk is not mounted, or was replaced.`,
    safe: "Nothing was made in its place. The databases run on.",
    next: nextStep`Mount the disk. If the repository is lost for good, turn "backup.any_second" off, then: ${odooPg("up")}; turn it on again, and once more: ${odooPg("up")}`,
  });
}

/** Remembers that there is a repository; called where there is one. */
export async function noteRepository(place: MarkedPlace): Promise<void> {
  const { repository, stanza, markFile } = place;
  if (markFile === undefined) return;
  const mark = await readMark(place);
  if (mark?.repository === repository && mark.stanza === stanza) return;
  const written: Mark = { format: 1, repository, stanza };
  await writeFileAtomic(markFile, `${JSON.stringify(written, undefined, 2)}\n`);
}

/** Once any second is off: the next time that it is turned on, a repository may begin anew. */
export async function forgetRepository({ markFile }: MarkedPlace): Promise<void> {
  if (markFile !== undefined) await removeFile(markFile);
}

/** A mark that cannot be read counts as not written: only whoever finds a repository writes it anew. */
async function readMark({ markFile }: MarkedPlace): Promise<Mark | undefined> {
  if (markFile === undefined) return undefined;
  const read = await inspectJsonFile(markFile, markSchema);
  return read?.ok === true ? read.value : undefined;
}

async function holdsAny({ repository, stanza }: MarkedPlace): Promise<boolean> {
  for (const kind of ["archive", "backup"])
    if ((await kindOf(path.join(repository, kind, stanza))) === "directory") return true;
  // One that was put aside, where the next one has not begun.
  return (await namesIn(repository)).some((name) => name.startsWith(ASIDE));
}
