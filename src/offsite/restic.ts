import path from "node:path";
import * as z from "zod";
import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError } from "../errors.ts";
import { command } from "../next-step.ts";
import { printableLine } from "../printable.ts";
import { shellWord } from "../shell-word.ts";
import { ensureDirectory, isExecutable, permissionsOf, readTextIfAny } from "../system/files/files.ts";
import { parseJson } from "../system/files/json-file.ts";
import type { Install, ProgramSearch } from "../system/install.ts";
import { currentUser, type Machine } from "../system/machine.ts";
import { run, type Ran } from "../system/process/process.ts";
import { programFailure } from "../system/process/child.ts";
import { programPlaces } from "../system/program-places.ts";

/** A place elsewhere, as the configuration has it. */
export type Elsewhere = Config["backup"]["offsite"][number];

/** The first version that has everything used here: `--keep-within-daily` and the like. Source: its changelog, 0.12. */
const NEEDED = 12;

/** Timeout for reading and writing a few small objects, in milliseconds. */
const SHORT = 300_000;

/** Timeout for a whole copy, in milliseconds: one that hangs that long is started again, and continues where it was. */
const LONG = 24 * 3_600_000;

/** Restic, as it reaches one repository. */
export interface Restic {
  readonly program: string;
  /** Its environment, secrets included: none of it is in its arguments. */
  readonly environment: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

export interface ResticOptions extends ProgramSearch {
  readonly layout: Layout;
  readonly machine: Machine;
  readonly signal: AbortSignal | undefined;
}

/** @throws OdooPgError program_missing, config_invalid for a file of secrets that is not there or that others may read */
export async function openRestic(
  { repository, passphrase_file, environment_file }: Elsewhere,
  { layout, machine, searchPath, install, signal }: ResticOptions,
): Promise<Restic> {
  const program = await findRestic(searchPath, install);
  await readSecret(passphrase_file, "openssl rand -base64 33");
  const given =
    environment_file === undefined
      ? {}
      : readEnvironment(environment_file, await readSecret(environment_file));
  const cache = path.join(layout.offsiteDir, "cache");
  await ensureDirectory(layout.offsiteDir);
  return {
    program,
    signal,
    environment: {
      HOME: machine.home,
      ...given,
      // An address may hold a password.
      RESTIC_REPOSITORY: repository,
      RESTIC_PASSWORD_FILE: passphrase_file,
      RESTIC_CACHE_DIR: cache,
    },
  };
}

async function findRestic(searchPath: string, install: Install): Promise<string> {
  let found = "";
  for (const candidate of programPlaces("restic", searchPath)) {
    if (!(await isExecutable(candidate))) continue;
    const said = await run(candidate, ["version"], { timeout: 5000 }).catch(() => undefined);
    const [, major, minor] = /^restic (\d+)\.(\d+)/m.exec(said?.stdout ?? "") ?? [];
    if (Number(major) > 0 || Number(minor) >= NEEDED) return candidate;
    if (minor !== undefined) found = `; found: ${major}.${minor} at ${candidate}`;
  }
  throw new OdooPgError("program_missing", {
    message: `Copies elsewhere need restic 0.${NEEDED} or later, and there is none${found}.`,
    safe: "Nothing was changed.",
    next: install({ apt: "restic", brew: "restic" }),
  });
}

/** Reads a file that no other user may read. @param made the command that makes a new one */
export async function readSecret(file: string, made?: string): Promise<string> {
  const permissions = await permissionsOf(file);
  if (!permissions) {
    throw new OdooPgError("config_invalid", {
      message: `There is no file ${file}.`,
      safe: "Nothing was changed.",
      next: made === undefined ? "Write it, with mode 0600." : `(umask 077; ${made} > ${shellWord(file)})`,
    });
  }
  const { uid, name = String(uid) } = currentUser();
  if (permissions.owner.uid !== uid) {
    throw new OdooPgError("config_invalid", {
      message: `${file} belongs to another user, who could change what odoo-pg does by it.`,
      safe: "Nothing was changed.",
      next: command("chown", name, file),
    });
  }
  if ((permissions.mode & 0o077) !== 0) {
    throw new OdooPgError("config_invalid", {
      message: `${file} holds secrets, and others may read it.`,
      safe: "Nothing was changed.",
      next: command("chmod", "600", file),
    });
  }
  const text = (await readTextIfAny(file)) ?? "";
  if (text.trim() !== "") return text;
  throw new OdooPgError("config_invalid", {
    message: `${file} is empty.`,
    safe: "Nothing was changed.",
    next:
      made === undefined
        ? "Write KEY=VALUE into it, a line each."
        : `(umask 077; ${made} > ${shellWord(file)})`,
  });
}

/** Lines of KEY=VALUE; empty lines and lines that begin with # are ignored. */
function readEnvironment(file: string, text: string): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#.*)?$/.test(line)) continue;
    const [, name, value = ""] = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
    if (name === undefined) {
      throw new OdooPgError("config_invalid", {
        message: `Line ${index + 1} of ${file} is not KEY=VALUE.`,
        safe: "Nothing was changed.",
      });
    }
    environment[name] = value.replace(/^(["'])(.*)\1$/, "$2");
  }
  return environment;
}

async function call(
  { program, environment, signal }: Restic,
  args: readonly string[],
  timeout: number,
): Promise<Ran> {
  return await run(program, args, { environment, signal, timeout });
}

async function callOrFail(restic: Restic, args: readonly string[], timeout: number): Promise<Ran> {
  const ran = await call(restic, args, timeout);
  if (ran.exitCode === 0) return ran;
  throw failureOf(restic, ran);
}

function failureOf({ program }: Restic, { exitCode, stderr, stdout }: Ran): OdooPgError {
  return programFailure(program, `failed (exit status ${exitCode})`, stderr.trim() || stdout);
}

/**
 * Creates the repository where there is none yet. @throws OdooPgError why it cannot be used, such as another passphrase
 */
export async function ensureRepository(restic: Restic): Promise<void> {
  const found = await call(restic, ["cat", "config", "--quiet"], SHORT);
  if (found.exitCode === 0) return;
  // An existing repository is never created again: this then fails too, and the first message says why.
  const made = await call(restic, ["init", "--quiet"], SHORT);
  if (made.exitCode !== 0) throw failureOf(restic, found);
}

const summarySchema = z.object({
  message_type: z.literal("summary"),
  data_added: z.number(),
  snapshot_id: z.string(),
});

/** Exit status where a file could not be read: mostly one that vanished meanwhile. */
const INCOMPLETE = 3;

/** What restic reports about a file that it could not read, on its standard error. */
const unreadSchema = z.object({
  message_type: z.literal("error"),
  item: z.string(),
  error: z.union([
    z.object({ message: z.string() }).transform(({ message }) => message),
    // Earlier versions: the number is the system's.
    z.object({ Op: z.string(), Err: z.number() }).transform(({ Op, Err }) => `${Op} fails, errno ${Err}`),
  ]),
});

/** A copy that has everything, or why there is none. */
type Copied =
  | { readonly kind: "whole"; readonly snapshot: string; readonly addedBytes: number }
  | { readonly kind: "incomplete"; readonly why: string };

/**
 * Copies folders as one snapshot. A snapshot that lacks a file because it could not be read is not kept: it must not be
 * fetched.
 */
export async function copyFolders(
  restic: Restic,
  folders: readonly string[],
  options: { readonly cluster: string; readonly excludes: readonly string[] },
): Promise<Copied> {
  const ran = await call(
    restic,
    [
      "backup",
      "--json",
      "--quiet",
      `--host=${options.cluster}`,
      `--tag=${TAG}`,
      ...options.excludes.map((pattern) => `--exclude=${pattern}`),
      "--",
      ...folders,
    ],
    LONG,
  );
  if (ran.exitCode !== 0 && ran.exitCode !== INCOMPLETE) throw failureOf(restic, ran);
  const summary = summaryIn(ran.stdout);
  if (ran.exitCode === INCOMPLETE) {
    if (summary) await dropCopy(restic, summary.snapshot_id);
    return { kind: "incomplete", why: unreadIn(ran.stderr) };
  }
  if (summary) return { kind: "whole", snapshot: summary.snapshot_id, addedBytes: summary.data_added };
  throw new OdooPgError("command_failed", { message: `${restic.program} backup does not say what it made.` });
}

function summaryIn(stdout: string): z.output<typeof summarySchema> | undefined {
  for (const line of stdout.split("\n").toReversed()) {
    const summary = parseJson(line, summarySchema);
    if (summary.ok) return summary.value;
  }
  return undefined;
}

/** The first file that could not be read, and why; otherwise restic's last lines. */
function unreadIn(stderr: string): string {
  const lines = stderr.trim().split("\n");
  for (const line of lines) {
    const unread = parseJson(line, unreadSchema);
    if (unread.ok) return printableLine(`${unread.value.item}: ${unread.value.error}`);
  }
  return printableLine(lines.at(-1) ?? "");
}

const nodeSchema = z.object({
  path: z.string(),
  type: z.string(),
  uid: z.number(),
  /** Bytes; of files alone. */
  size: z.number().default(0),
});
/** A file or folder of a copy, as it was when it was read. */
export type CopiedNode = z.output<typeof nodeSchema>;

/** The contents of a folder in a copy; the folder itself comes first. @throws OdooPgError command_failed */
export async function listFolder(restic: Restic, snapshot: string, folder: string): Promise<CopiedNode[]> {
  const { stdout } = await callOrFail(restic, ["ls", "--json", "--recursive", snapshot, folder], LONG);
  const nodes = stdout.split("\n").flatMap((line) => {
    const node = parseJson(line, nodeSchema);
    return node.ok && isBelow(node.value.path, folder) ? [node.value] : [];
  });
  if (nodes.length) return nodes;
  throw new OdooPgError("command_failed", {
    message: `${restic.program} ls does not say what the copy has.`,
  });
}

/** Bytes of the files of one folder of a copy. @throws OdooPgError command_failed */
export async function folderBytes(restic: Restic, snapshot: string, folder: string): Promise<number> {
  const nodes = await listFolder(restic, snapshot, folder);
  return nodes.reduce((sum, { size }) => sum + size, 0);
}

const isBelow = (place: string, folder: string): boolean =>
  place === folder || place.startsWith(`${folder}/`);

/** Removes one copy; the data that only it holds goes with the next removal of older copies. */
export async function dropCopy(restic: Restic, snapshot: string): Promise<void> {
  const args = ["forget", "--quiet", snapshot];
  if ((await call(restic, args, SHORT)).exitCode === 0) return;
  // The lock of one that was killed keeps out who removes.
  await unlockRepository(restic);
  await callOrFail(restic, args, SHORT);
}

/** Tag that tells our snapshots from others in the repository. */
const TAG = "odoo-pg";

/** How long older copies are kept: nothing inside a kept copy is removed, however old it is. */
const KEPT = [
  "--keep-last=12",
  "--keep-within-hourly=2d",
  "--keep-within-daily=14d",
  "--keep-within-weekly=3m",
  "--keep-within-monthly=2y",
];

/** Removes locks left by killed processes: they would block removals for ever. Locks of running processes stay. */
export async function unlockRepository(restic: Restic): Promise<void> {
  await callOrFail(restic, ["unlock", "--quiet"], SHORT);
}

/** Removes older copies, and the data that only they held. */
export async function tidyRepository(restic: Restic, cluster: string): Promise<void> {
  await unlockRepository(restic);
  await callOrFail(
    restic,
    ["forget", "--quiet", `--host=${cluster}`, `--tag=${TAG}`, "--group-by=host", ...KEPT, "--prune"],
    LONG,
  );
}

const snapshotsSchema = z.array(
  z.object({
    id: z.string().regex(/^[0-9a-f]{8,64}$/),
    time: z.string(),
    hostname: z.string(),
    paths: z.array(z.string()),
  }),
);
export type Snapshot = z.output<typeof snapshotsSchema>[number];

/** The copies of a repository, oldest first. */
export async function listCopies(restic: Restic): Promise<Snapshot[]> {
  const { stdout } = await callOrFail(restic, ["snapshots", "--json", `--tag=${TAG}`], SHORT);
  const parsed = parseJson(stdout, snapshotsSchema);
  if (!parsed.ok)
    throw new OdooPgError("command_failed", {
      message: `${restic.program} snapshots does not say what there is: ${parsed.problem}.`,
    });
  return parsed.value.toSorted((a, b) => Date.parse(a.time) - Date.parse(b.time));
}

/** Writes a folder of a copy, under its whole path, into a folder. Every file is checked against its checksum. */
export async function fetchFolder(
  restic: Restic,
  snapshot: string,
  folder: string,
  into: string,
): Promise<void> {
  await callOrFail(
    restic,
    ["restore", snapshot, "--quiet", `--target=${into}`, `--include=${escapePattern(folder)}`],
    LONG,
  );
}

/** Bytes of all files of a copy. */
export async function copyBytes(restic: Restic, snapshot: string): Promise<number> {
  const { stdout } = await callOrFail(restic, ["stats", "--json", "--mode=restore-size", snapshot], LONG);
  const parsed = parseJson(stdout, z.object({ total_size: z.number() }));
  return parsed.ok ? parsed.value.total_size : 0;
}

/** A path as restic's patterns take it literally (filepath.Match of Go). */
function escapePattern(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, "\\$&");
}
