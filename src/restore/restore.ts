import path from "node:path";
import type { Progress } from "../progress.ts";
import { namesThatAre } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import { nextStep, sameCommand } from "../next-step.ts";
import { listDatabases } from "./databases.ts";
import { rolesThatMayOwn } from "../odoo/may-own.ts";
import { assertFilestores, storeFnames } from "../odoo/filestore.ts";
import { monotonic } from "../system/clock.ts";
import { FilestoreReader } from "../system/files/filestore-reader.ts";
import { fileBytes } from "../system/files/files.ts";
import { readContents, type CataloguedBackup } from "../backup/catalogue.ts";
import { isOdooDatabase } from "../backup/contents/read-contents.ts";
import type { BackupSource } from "../backup/source.ts";
import { filestoreFor, freeFilestoreFor, NewFilestore } from "./target/attachments.ts";
import { assertDatabaseName, reserved } from "./target/database-name.ts";
import { tellFailure } from "./failure.ts";
import { discardFilling, restoreFailed, type Filling, type Loaded } from "./loading/filling.ts";
import { loadBackup } from "./loading/from-backup.ts";
import { loadBundle, loadPacked } from "./loading/from-bundle.ts";
import { loadForeignArchive, loadForeignSql } from "./loading/from-dump.ts";
import { piecesOf, type FileInput, type RestoreInput } from "./reading/input.ts";
import { NewDatabase } from "./target/new-database.ts";
import { neutralizeCopy } from "./target/neutralize-copy.ts";
import { proveLoaded } from "./prove.ts";
import { provenanceOf, type Provenance } from "./loading/provenance.ts";
import { publish, tidyUp } from "./target/publish.ts";
import { assertReplaceable } from "./target/slots.ts";
import { sqlText } from "./reading/text.ts";
import { asideNotes, keepSetAside, type AsideReport } from "./target/set-aside.ts";

export interface RestoreOrder {
  readonly input: RestoreInput;
  readonly database: string;
  readonly replace: boolean;
  readonly keepOld: boolean;
  /** Whether it is neutralised before any other session can see it. */
  readonly neutralize?: boolean | undefined;
  /** The database to restore, where the input holds several (pg_dumpall). */
  readonly part?: string | undefined;
}

export interface RestoreReport {
  readonly database: string;
  readonly owner: string;
  readonly tables: number;
  readonly rows: number;
  /** Files of attachments that were restored; null where the input holds none. */
  readonly files: number | null;
  readonly seconds: number;
  /** Name under which the replaced database is kept. */
  readonly kept: string | null;
  /** Whether it is a database of Odoo that is not neutralised: an Odoo that may open it runs its scheduled actions. */
  readonly live: boolean;
  /** Whether it was neutralised. */
  readonly neutralized: boolean;
  /**
   * Objects that could not be created: their SQL is in a file, for a superuser to read and run. Null where nothing is
   * missing.
   */
  readonly set_aside: AsideReport | null;
  /** What differs from the original, and what to know. */
  readonly notes: readonly string[];
}

/**
 * Restores into a database in the making, compares, and gives it its name. If anything fails before that, nothing that
 * existed is touched and nothing of the new one is left.
 * @throws OdooPgError database_exists, database_unknown, dump_unusable, backup_damaged, restore_failed, disk_full …
 */
export async function restoreDatabase(
  source: BackupSource,
  order: RestoreOrder,
  progress: Progress,
): Promise<RestoreReport> {
  const begun = monotonic();
  const { database, replace, keepOld } = order;
  await tidyUp(source, progress.note);
  const present = await presentOf(source, database);
  await assertName(source, order, present);
  const target = await NewDatabase.begin(source);
  const filling: Filling = {
    source,
    database,
    target,
    progress,
    files: undefined,
    unpacked: 0,
    rowsMayLack: !replace,
  };
  try {
    const { owner, loaded } = await take(filling, order, present);
    let live = false;
    const { found, notes } = await proveLoaded(filling, loaded, owner, async () => {
      live = await isLive(filling);
      return await attachmentNotes(filling, order, loaded);
    });
    const { files } = filling;
    const like = replace ? database : undefined;
    const placement = { database, owner, replaces: present?.oid, keepOld, files, like };
    // The restored contents are compared before they are changed.
    if (order.neutralize) {
      progress.step(database, "neutralise");
      await neutralizeCopy(source, target, database);
      live = false;
    }
    // Checked before the old one goes: otherwise something would be lost.
    const setAside = await keepSetAside(source.restoresDir, database, loaded.setAside);
    const { kept, notes: undone } = await publish(source, target, placement, progress);
    return {
      database,
      owner,
      tables: found.tables.length,
      rows: found.tables.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      files: files?.files ?? null,
      seconds: Math.round((monotonic() - begun) / 100) / 10,
      kept: kept ?? null,
      live,
      neutralized: order.neutralize === true,
      set_aside: setAside,
      notes: [...notes.filter((note) => !asideNotes(loaded.setAside).includes(note)), ...undone],
    };
  } catch (error) {
    await discardFilling(filling);
    throw await tellFailure(source, error, {
      what: `The restore of "${database}" failed`,
      database,
      safe: whatIsSafe(order),
    });
  }
}

/** The sentence that says what is safe after a failed restore. */
function whatIsSafe({ replace, database }: RestoreOrder): string {
  return replace
    ? `Database "${database}" and its filestore are as they were; what was restored is removed.`
    : "What was restored until then is removed; nothing that existed was changed.";
}

interface Present {
  /** Its number, which stays the same when it is renamed. */
  readonly oid: string;
  /** Undefined when its owner's rights reach further: what a dump holds is never given to such a role. */
  readonly owner: string | undefined;
}

/** The database that has the name already; undefined when there is none. */
async function presentOf(source: BackupSource, database: string): Promise<Present | undefined> {
  return await source.superuser.use(async (session) => {
    const [row] = await session.query(
      `SELECT d.oid::text AS oid, rolname AS owner, datistemplate AS template
       FROM pg_database d JOIN pg_roles r ON r.oid = datdba WHERE datname = $1`,
      [database],
    );
    if (row?.["template"] === true) throw reserved(database);
    if (row === undefined) return undefined;
    const owner = String(row["owner"]);
    return {
      oid: String(row["oid"]),
      owner: (await rolesThatMayOwn(session)).has(owner) ? owner : undefined,
    };
  });
}

/** @throws OdooPgError for a name that is invalid or taken, or that does not exist where it is to be replaced. */
async function assertName(
  source: BackupSource,
  { database, replace, keepOld }: RestoreOrder,
  present: Present | undefined,
): Promise<void> {
  const { config } = source;
  assertDatabaseName(config, database);
  // Needed even without attachments: the change of names is noted there.
  if (config.odoo.filestore !== undefined) await assertFilestores(config.odoo.filestore);
  if (replace && present === undefined) {
    const names = (await listDatabases(source)).map((listed) => listed.database);
    throw new OdooPgError("database_unknown", {
      message: `There is no database "${database}" to replace. ${namesThatAre(database, names)}`,
      safe: "Nothing was changed.",
      next: nextStep`Correct the name, or restore into a new database: ${sameCommand(["--as", database], ["--replace=", "--confirm=", "--keep-old"])}`,
    });
  }
  if (replace && !keepOld) await assertReplaceable(source.superuser, database);
  if (!replace && present !== undefined) {
    throw new OdooPgError("database_exists", {
      message: `Database "${database}" already exists.`,
      safe: "Nothing was changed.",
      next: nextStep`Choose another name, or replace it: ${sameCommand(["--replace", database, "--confirm", database], ["--as="])}`,
    });
  }
  if (!replace) await freeFilestoreFor(config, database);
}

/**
 * The owner of a restored backup: for a backup of this cluster the former owner, as long as that role exists and may
 * own it, else Odoo's role.
 */
export async function ownerOfRestored(
  source: BackupSource,
  { folder }: CataloguedBackup,
  provenance: Provenance,
): Promise<string> {
  const { role } = source.config.odoo;
  if (provenance.is !== "own") return role;
  const { database } = await readContents(folder);
  return await source.superuser.use(async (session) =>
    (await rolesThatMayOwn(session)).has(database.owner) ? database.owner : role,
  );
}

/** Loads what is restored. @returns it, and its future owner */
async function take(
  filling: Filling,
  { input, part }: RestoreOrder,
  present: Present | undefined,
): Promise<{ readonly owner: string; readonly loaded: Loaded }> {
  const { source } = filling;
  if (input.kind !== "backup") {
    const loaded = await load(filling, input, part);
    return { owner: present?.owner ?? source.config.odoo.role, loaded };
  }
  const { backup, place: pool } = input;
  if (part !== undefined && part !== backup.manifest.database) throw oneOnly(part);
  const provenance = await provenanceOf(source, backup);
  const owner = present?.owner ?? (await ownerOfRestored(source, backup, provenance));
  return { owner, loaded: await loadBackup(filling, backup, { pool, checked: false, provenance }) };
}

/** @param part the database to load, where the input holds several */
async function load(filling: Filling, input: FileInput, part: string | undefined): Promise<Loaded> {
  if (input.kind === "packed") return await loadPacked(filling, input, part, load);
  if (input.kind === "bundle") return await loadBundle(filling, input, part, load);
  if (input.kind === "sql") {
    const { source, database, progress } = filling;
    const total = await fileBytes(input.at);
    const onBytes = (bytes: number): void => progress.bytes(database, bytes, total);
    const open = (): AsyncIterable<Buffer> => piecesOf(input, onBytes, source.signal);
    return await loadForeignSql(filling, sqlText(input.file, open), part);
  }
  if (part !== undefined) throw oneOnly(part);
  return await loadForeignArchive(filling, input);
}

function oneOnly(part: string): OdooPgError {
  return new OdooPgError("usage", {
    message: `What is restored holds one database, and does not say that it is "${part}".`,
    safe: "Nothing was changed.",
    next: sameCommand([], ["--database="]),
  });
}

/** Reads as its loader: what the database holds may run functions. */
async function isLive({ target }: Filling): Promise<boolean> {
  return await target.loading.use(async (session) => {
    if (!(await isOdooDatabase(session))) return false;
    const [table] = await session.query("SELECT to_regclass('public.ir_config_parameter') AS there");
    if (table?.["there"] === null) return true;
    const rows = await session.query(
      "SELECT FROM public.ir_config_parameter WHERE key = 'database.is_neutralized' AND lower(value) = 'true'",
    );
    return rows.length === 0;
  });
}

/**
 * Holds the database's attachments against the files. A dump without files that replaces a database keeps the files of
 * the old one that it names.
 * @throws OdooPgError restore_failed when a backup lacks more than it is known to lack.
 */
async function attachmentNotes(
  filling: Filling,
  order: RestoreOrder,
  { knownMissing }: Loaded,
): Promise<string[]> {
  const { source, target } = filling;
  const root = source.config.odoo.filestore;
  const old =
    order.replace && filling.files === undefined ? filestoreFor(source.config, order.database) : undefined;
  return await target.loading.use(async (session) => {
    if (!(await isOdooDatabase(session))) return [];
    if (old !== undefined && root !== undefined)
      filling.files = new NewFilestore(path.join(root, target.name));
    let named = 0;
    let missing = 0;
    await session.query("BEGIN READ ONLY");
    const reader = old === undefined ? undefined : new FilestoreReader(old);
    try {
      for await (const names of storeFnames(session)) {
        named += names.length;
        for (const name of names) {
          const there = reader
            ? (await filling.files?.share(reader, name)) === true
            : filling.files?.has(name) === true;
          if (!there) missing += 1;
        }
      }
    } finally {
      reader?.close();
    }
    await session.query("COMMIT");
    if (old !== undefined) await filling.files?.finish();
    if (missing === 0) return [];
    if (knownMissing !== undefined) {
      if (missing === knownMissing)
        return [`${missing} attachments were missing already when the backup was made`];
      throw restoreFailed([`${missing} attachments have no file, not ${knownMissing}`]);
    }
    return [
      `${missing} of ${named} attachments have no file: ${filling.files ? "the source lacks them" : "a dump alone holds none"}`,
    ];
  });
}
