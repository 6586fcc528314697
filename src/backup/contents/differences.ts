import path from "node:path";
import { oneLine, printableLine } from "../../printable.ts";
import { readTextIfAny, type Owner } from "../../system/files/files.ts";
import { removeThere, writeThere } from "../../system/files/held/by-path.ts";
import { DIFFERENCES_FILE } from "../manifest.ts";

/** Differences that a file holds, and characters of each: bodies of functions are among them. */
const KEPT = 10_000;
const LENGTH = 4000;

/** Differences as a file holds them: one line each, harmless on a terminal. */
export function differencesText(differences: readonly string[]): string {
  const lines = differences
    .slice(0, KEPT)
    .map((difference) => `${printableLine(oneLine(difference, LENGTH))}\n`);
  const more = differences.length - lines.length;
  return `${lines.join("")}${more > 0 ? `… and ${more} more\n` : ""}`;
}

/** Stores beside a backup how its last restore differed; where it did not, removes the record of an earlier one. */
export async function keepDifferences(
  folder: string,
  differences: readonly string[],
  owner: Owner | undefined,
): Promise<void> {
  const file = path.join(folder, DIFFERENCES_FILE);
  if (differences.length) await writeThere(file, differencesText(differences), { owner });
  else await removeThere(file);
}

/** How the last restore of a backup differed, one line each; empty where it did not, or was never tried. */
export async function readDifferences(folder: string): Promise<string[]> {
  const text = (await readTextIfAny(path.join(folder, DIFFERENCES_FILE))) ?? "";
  return text.split("\n").filter((line) => line !== "");
}
