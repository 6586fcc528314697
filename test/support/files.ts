import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";

/** Paths of all regular files below a folder, without what `skip` names (paths relative to the folder). */
export function filesBelow(folder: string, skip: (path: string) => boolean = () => false): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !skip(relative(folder, path)))
    .sort();
}

/** Permission bits, as chmod takes them. */
export function modeOf(path: string): number {
  return statSync(path).mode & 0o777;
}

/** A file's bytes as text that keeps each of them. */
export function bytesOf(path: string): string {
  return readFileSync(path, "latin1");
}
