import { randomBytes } from "node:crypto";
import type { Progress } from "../agent/events.ts";
import { OdooPgError } from "../errors.ts";
import { storeFnames } from "../odoo/filestore.ts";
import { runClientProgram } from "../postgres/client-program.ts";
import { programOf } from "../postgres/installation.ts";
import { conninfo } from "../postgres/quoting.ts";
import { now } from "../system/clock.ts";
import { diskSpace } from "../system/files.ts";
import {
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  withSession,
  type Session,
} from "../system/sql.ts";
import { readContents, writeChecks, type CataloguedBackup } from "./catalogue.ts";
import { compareContents } from "./compare.ts";
import type { Contents } from "./contents.ts";
import { readFilestoreList } from "./filestore-list.ts";
import { readDatabaseContents } from "./read-contents.ts";
import { SCRATCH_PREFIX, type BackupSource } from "./source.ts";
import { verifyBackup, type SoundFiles, type Verified } from "./verify.ts";

/** Databases that are there only while a backup is tried. */
const DRILL_PREFIX = `${SCRATCH_PREFIX}drill_`;

/** Room that a restore needs, as a multiple of the source's size: the data, and WAL of it. */
const ROOM = 1.3;

/**
 * Proves a backup: checks all of its checksums, restores it into a scratch database, compares that with what the backup
 * says of itself, and drops it. What was found is noted in the backup.
 * @throws OdooPgError disk_full when there is no room for it, refused for a backup without an archive. The scratch
 * database is dropped whatever happens.
 */
export async function drillBackup(
  source: BackupSource,
  backup: CataloguedBackup,
  sound: SoundFiles,
  progress: Progress,
): Promise<Verified | undefined> {
  const { manifest, folder } = backup;
  if (!manifest.dumps.some(({ format }) => format === "directory")) {
    throw new OdooPgError("refused", {
      message: `${backup.id} holds SQL only; a drill needs the archive ("backup.custom").`,
      safe: "Nothing was changed.",
    });
  }
  await assertRoom(source, backup);
  const verified = await verifyBackup(backup, sound, {
    place: source.place,
    owner: source.owner,
    progress,
    signal: source.signal,
  });
  if (!verified?.ok) return verified;
  const scratch = `${DRILL_PREFIX}${randomBytes(4).toString("hex")}`;
  let problems: string[];
  try {
    problems = await restoreAndCompare(source, backup, scratch, progress);
  } catch (error) {
    if (source.signal?.aborted) throw error;
    problems = [`it cannot be restored: ${error instanceof Error ? error.message : String(error)}`];
  } finally {
    await dropDatabase(source, scratch);
  }
  const at = new Date(now()).toISOString();
  await writeChecks(
    folder,
    { version: 1, verified_at: at, drilled_at: problems.length ? null : at, problems },
    source.owner,
  );
  return { ...verified, ok: problems.length === 0, problems };
}

/** Removes what a killed drill left behind. The caller holds the lock of drills. */
export async function removeLeftOverDrills(source: BackupSource): Promise<void> {
  const names = await withSession(source.superuser, async (session) =>
    session.query("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", [DRILL_PREFIX]),
  );
  for (const row of names) await dropDatabase(source, String(row["datname"]));
}

async function dropDatabase({ superuser }: BackupSource, name: string): Promise<void> {
  await withSession(superuser, async (session) => {
    await session.query(`DROP DATABASE IF EXISTS ${id(name)} WITH (FORCE)`);
  });
}

async function assertRoom(source: BackupSource, { manifest }: CataloguedBackup): Promise<void> {
  const [row] = await withSession(source.superuser, async (session) =>
    session.query("SELECT current_setting('data_directory') AS dir"),
  );
  const { freeBytes } = await diskSpace(String(row?.["dir"]));
  const needed = manifest.database_bytes * ROOM;
  if (freeBytes > needed) return;
  throw new OdooPgError("disk_full", {
    message: `A drill of ${manifest.id} needs ${Math.ceil(needed / 2 ** 20)} MB beside the data, and ${Math.floor(freeBytes / 2 ** 20)} MB are free.`,
    safe: "Nothing was changed.",
    next: "Make room, or restore the backup on another host.",
  });
}

async function restoreAndCompare(
  source: BackupSource,
  { folder, manifest }: CataloguedBackup,
  scratch: string,
  progress: Progress,
): Promise<string[]> {
  const expected = await readContents(folder);
  progress.step(manifest.database, "restore into a scratch database");
  await withSession(source.superuser, async (session) => {
    const missing = await missingRoles(session, expected);
    if (missing.length) throw new Error(`there is no role ${missing.join(", ")} here (see its globals.sql)`);
    await session.query(createDatabase(scratch, expected));
  });
  await withSession({ ...source.superuser, database: scratch }, async (session) => {
    await createExtensions(session, scratch, expected);
  });
  const { host, port, user } = source.superuser;
  await runClientProgram(
    programOf(source.installation, "pg_restore"),
    [
      `--dbname=${conninfo({ host, port, user, dbname: scratch, application_name: "odoo-pg drill" })}`,
      `--jobs=${source.processors}`,
      "--exit-on-error",
      "--no-password",
      folder,
    ],
    {
      environment: {
        PGPASSFILE: source.passfile,
        PGOPTIONS: "-c synchronous_commit=off -c maintenance_work_mem=256MB -c statement_timeout=0",
      },
      signal: source.signal,
    },
  );
  progress.step(manifest.database, "compare");
  return await withSession({ ...source.superuser, database: scratch }, async (session) => {
    const found = await readDatabaseContents(session);
    const [row] = await session.query("SELECT current_setting('server_version_num')::int / 10000 AS major");
    const problems = compareContents(asRestored(expected), found, {
      owners: true,
      definitions: Number(row?.["major"]) === manifest.server_major,
    });
    if (manifest.filestore.included) {
      const unlisted = await namesWithoutFile(session, folder);
      const known = manifest.filestore.missing.count;
      if (unlisted !== known)
        problems.push(`${unlisted} attachments of the database have no file in the backup, not ${known}`);
    }
    return problems.slice(0, 100);
  });
}

async function missingRoles(session: Session, { roles }: Contents): Promise<string[]> {
  const rows = await session.query(
    "SELECT name FROM unnest($1::text[]) AS name WHERE to_regrole(quote_ident(name)) IS NULL",
    [roles.map(({ name }) => name)],
  );
  return rows.map((row) => String(row["name"]));
}

function createDatabase(name: string, { database }: Contents): string {
  const { encoding, locale_provider, collate, ctype, locale, owner } = database;
  const words = [
    `CREATE DATABASE ${id(name)} TEMPLATE template0 ENCODING ${literal(encoding)}`,
    // Nobody but a superuser can connect: no Odoo takes it for one of its own.
    `CONNECTION LIMIT 0 OWNER ${id(owner)}`,
    collate === null ? "" : `LC_COLLATE ${literal(collate)}`,
    ctype === null ? "" : `LC_CTYPE ${literal(ctype)}`,
    locale_provider === "libc" ? "" : `LOCALE_PROVIDER ${locale_provider}`,
    locale_provider === "icu" && locale !== null ? `ICU_LOCALE ${literal(locale)}` : "",
    locale_provider === "builtin" && locale !== null ? `BUILTIN_LOCALE ${literal(locale)}` : "",
  ];
  return words.filter(Boolean).join(" ");
}

/** Extensions belong to who makes them, and pg_restore would make them as the superuser. */
async function createExtensions(session: Session, database: string, contents: Contents): Promise<void> {
  const names = extensionsMadeFirst(contents);
  for (const { name, owner } of names) {
    await session.query(
      [
        `GRANT CREATE ON DATABASE ${id(database)} TO ${id(owner)}`,
        `GRANT CREATE ON SCHEMA public TO ${id(owner)}`,
        `SET ROLE ${id(owner)}`,
        `CREATE EXTENSION ${id(name)} SCHEMA public`,
        "RESET ROLE",
      ].join("; "),
    );
  }
  const { unaccent } = contents;
  if (unaccent?.schema !== "public") return;
  if (!names.some(({ name }) => name === "unaccent"))
    await session.query("CREATE EXTENSION unaccent SCHEMA public");
  await session.query(
    `ALTER FUNCTION public.unaccent(text) ${unaccent.immutable ? "IMMUTABLE" : "STABLE"};
     ALTER FUNCTION public.unaccent(text) OWNER TO ${id(unaccent.owner)}`,
  );
}

/** Those that ordinary roles own in schema public; any other is made by pg_restore. */
function extensionsMadeFirst({ extensions, roles }: Contents): Contents["extensions"] {
  const ordinary = new Set(roles.filter(({ superuser }) => !superuser).map(({ name }) => name));
  return extensions.filter(({ schema, owner }) => schema === "public" && ordinary.has(owner));
}

/** What a restore as the superuser brings about: extensions that it makes itself are its own. */
function asRestored(contents: Contents): Contents {
  const kept = new Set(extensionsMadeFirst(contents).map(({ name }) => name));
  return {
    ...contents,
    extensions: contents.extensions.map((extension) =>
      kept.has(extension.name) ? extension : { ...extension, owner: "postgres" },
    ),
  };
}

/** Attachments of the restored database that the list of the backup lacks. Both are sorted by bytes. */
async function namesWithoutFile(session: Session, folder: string): Promise<number> {
  await session.query("BEGIN");
  const list = readFilestoreList(folder);
  let without = 0;
  try {
    let listed = await list.next();
    for await (const names of storeFnames(session)) {
      for (const name of names) {
        if (!listed.done && listed.value.storeFname === name) listed = await list.next();
        else without += 1;
      }
    }
  } finally {
    await list.return(undefined);
  }
  await session.query("COMMIT");
  return without;
}
