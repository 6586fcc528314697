import { randomBytes } from "node:crypto";
import path from "node:path";
import { programOf, type Installation } from "../../postgres/installation.ts";
import { temporaryDirectory, writeFileAtomic } from "../../system/files.ts";
import { feed, outputOf } from "../../system/pipeline.ts";
import { runClientProgram } from "../../postgres/client-program.ts";
import type { BackupSource } from "../source.ts";
import type { Filling } from "./filling.ts";
import type { ArchiveList } from "./archive-list.ts";
import { loadOptions } from "./new-database.ts";
import { SqlFilter, type SqlContents } from "./sql-filter.ts";

function environment({ source, target }: Filling): Record<string, string> {
  return { PGPASSFILE: target.passfile, PGOPTIONS: loadOptions(source.processors) };
}

/** What pg_restore lists of an archive. @throws OdooPgError command_failed with its words. */
export async function listArchive(source: BackupSource, file: string): Promise<string> {
  const ran = await runClientProgram(programOf(source.installation, "pg_restore"), ["--list", file], {
    signal: source.signal,
  });
  return ran.stdout;
}

/**
 * Loads an archive (custom, directory or tar format) as the loader, and stops at the first error.
 * @param jobs processes at the same time; the tar format allows one
 * @returns privileges that could not be given, one line each
 */
export async function loadArchive(
  filling: Filling,
  file: string,
  list: ArchiveList,
  jobs: number,
  onTable: (done: number, total: number) => void,
): Promise<string[]> {
  const total = list.counts.get("TABLE DATA") ?? 0;
  let done = 0;
  await temporaryDirectory(undefined, async (folder) => {
    const loadList = path.join(folder, "load");
    await writeFileAtomic(loadList, list.load);
    const args = [`--use-list=${loadList}`, `--jobs=${jobs}`, "--verbose", file];
    const onStderr = (text: string): void => {
      for (const _ of text.matchAll(/processing data for table/g)) done += 1;
      onTable(Math.min(done, total), total);
    };
    await pgRestore(filling, args, { onStderr });
  });
  return await grantAsIn(filling, file, list);
}

/** Runs pg_restore as the loader, to whom everything then belongs. @throws OdooPgError at the first error. */
export async function pgRestore(
  filling: Filling,
  args: readonly string[],
  options: { readonly input?: AsyncIterable<Buffer>; readonly onStderr?: (text: string) => void } = {},
): Promise<void> {
  const { input = nothing(), onStderr } = options;
  const { source, target } = filling;
  await feed(
    {
      program: programOf(source.installation, "pg_restore"),
      args: [
        `--dbname=${await target.loading.connection("odoo-pg restore")}`,
        "--no-owner",
        "--no-privileges",
        // It belongs to the server that the dump was made on; here everything lies where the database does.
        "--no-tablespaces",
        "--exit-on-error",
        "--no-password",
        ...args,
      ],
      environment: environment(filling),
      signal: source.signal,
      ...(onStderr ? { onStderr } : {}),
    },
    input,
  );
}

/** Gives the privileges that an archive names. @returns those that could not be given, one line each */
export async function grantAsIn(filling: Filling, file: string, list: ArchiveList): Promise<string[]> {
  if (list.privileges === "") return [];
  const { installation, signal } = filling.source;
  return await temporaryDirectory(undefined, async (folder) => {
    const privilegeList = path.join(folder, "privileges");
    await writeFileAtomic(privilegeList, list.privileges);
    const filter = new SqlFilter(file, installation.major);
    const program = programOf(installation, "pg_restore");
    const args = [`--use-list=${privilegeList}`, "--no-owner", "--file=-", file];
    for await (const chunk of outputOf({ program, args, signal })) filter.push(chunk);
    return await grant(filling, filter.end().contents.grants);
  });
}

async function* nothing(): AsyncGenerator<Buffer> {}

/**
 * Loads SQL as the loader with psql, and stops at the first error.
 * @param name of the file, for messages
 */
export async function loadSql(
  filling: Filling,
  name: string,
  sql: AsyncIterable<Buffer>,
): Promise<{ contents: SqlContents; refusedGrants: string[] }> {
  const { source, target } = filling;
  const { signal } = source;
  const filter = new SqlFilter(name, source.installation.major);
  let contents: SqlContents | undefined;
  const restricted = knowsRestrict(source.installation);
  async function* input(): AsyncGenerator<Buffer> {
    // psql then takes nothing but SQL, until it is given the same key again.
    const key = randomBytes(16).toString("hex");
    if (restricted) yield Buffer.from(`\\restrict ${key}\n`);
    for await (const chunk of sql) yield* filter.push(chunk);
    const end = filter.end();
    yield* end.rest;
    if (restricted) yield Buffer.from(`\n\\unrestrict ${key}\n`);
    contents = end.contents;
  }
  const connection = await target.loading.connection("odoo-pg restore");
  await feed(
    {
      program: programOf(source.installation, "psql"),
      args: ["-X", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-", "-d", connection],
      environment: environment(filling),
      signal,
    },
    input(),
  );
  if (!contents) throw new Error("psql ended before the dump");
  return { contents, refusedGrants: await grant(filling, contents.grants) };
}

/**
 * First minor releases whose psql has \restrict. Source: their release notes, August 2025 (CVE-2025-8714).
 */
function knowsRestrict({ version, major }: Installation): boolean {
  const minor = Number(/^\d+\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  const first: Record<number, number> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 };
  return major >= 18 || minor >= (first[major] ?? Number.POSITIVE_INFINITY);
}

/** Runs statements about privileges one by one. @returns those that failed, mostly for roles that are not here */
async function grant({ target }: Filling, statements: readonly string[]): Promise<string[]> {
  if (!statements.length) return [];
  return await target.loading.use(async (session) => {
    const refused: string[] = [];
    for (const statement of statements) {
      try {
        await session.query(statement);
      } catch (error) {
        if (session.broken()) throw error;
        refused.push(`${statement} (${error instanceof Error ? error.message : String(error)})`);
      }
    }
    return refused;
  });
}
