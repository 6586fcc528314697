import path from "node:path";
import type { Progress } from "../progress.ts";
import { findDifferences } from "../backup/contents/compare.ts";
import { objectsIn } from "../backup/contents/contents.ts";
import { contentsBeside } from "../backup/contents/contents-beside.ts";
import { isOdooDatabase, readDefinitions } from "../backup/contents/read-contents.ts";
import { readArchiveList } from "./loading/archive-list.ts";
import { filestoreFor, NewFilestore } from "./target/attachments.ts";
import { assertDatabaseName } from "./target/database-name.ts";
import { tellFailure } from "./failure.ts";
import { rightsOf } from "./loading/from-backup.ts";
import { discardFilling, jobsOf, type Filling, type Loaded } from "./loading/filling.ts";
import {
  bothOf,
  listArchive,
  loadAsSql,
  pgRestore,
  restoreEntries,
  type Archive,
  type ArchiveLoaded,
} from "./loading/load.ts";
import { NewDatabase } from "./target/new-database.ts";
import { ownedBy } from "./target/owners.ts";
import { proveLoaded } from "./prove.ts";
import { oidOf, publish, tidyUp } from "./target/publish.ts";
import { assertReplaceable } from "./target/slots.ts";
import {
  asideNotes,
  keepSetAside,
  withoutSetAside,
  type AsideReport,
  type SetAside,
} from "./target/set-aside.ts";
import { beginSnapshot, endSnapshot, type Snapshot } from "../backup/snapshot.ts";
import type { BackupSource } from "../backup/source.ts";
import { OdooPgError } from "../errors.ts";
import { runClientProgram } from "../postgres/client-program.ts";
import { programOf } from "../postgres/installation.ts";
import { monotonic } from "../system/clock.ts";
import { temporaryDirectory } from "../system/files/temporary-directory.ts";
import { FilestoreReader } from "../system/files/filestore-reader.ts";
import { produce } from "../system/process/pipeline.ts";
import { SqlError, type Session, type SuperuserSession } from "../system/sql/sql.ts";
import { assertFree, needDatabase } from "./databases.ts";
import { hasFilestore, storeFnames } from "../odoo/filestore.ts";
import { neutralizeCopy } from "./target/neutralize-copy.ts";

export interface CopyOrder {
  readonly from: string;
  readonly to: string;
  readonly neutralize: boolean;
  readonly replace: boolean;
  readonly keepOld: boolean;
}

export interface CopyReport {
  readonly database: string;
  readonly from: string;
  /** `template`: copied by the server itself; `dump`: by a dump of one moment, because a session was connected. */
  readonly how: "template" | "dump";
  readonly neutralized: boolean;
  /** Whether it is a database of Odoo that is not neutralised. */
  readonly live: boolean;
  /** neutralize.sql of Odoo's modules that were run. */
  readonly neutralize_files: readonly string[];
  readonly files: number | null;
  readonly seconds: number;
  readonly kept: string | null;
  /** Objects that could not be created: their SQL is in a file. Null where nothing is missing. */
  readonly set_aside: AsideReport | null;
  readonly notes: readonly string[];
}

/**
 * Copies a database with its filestore. Sessions in the source are not disturbed. The copy gets its name when it is
 * whole, and neutralised where that was asked for; until then it accepts no other connections, and when a step fails it
 * is removed.
 */
export async function copyDatabase(
  source: BackupSource,
  order: CopyOrder,
  progress: Progress,
): Promise<CopyReport> {
  if (order.from === order.to)
    throw new OdooPgError("usage", { message: "A database cannot be copied onto itself." });
  const begun = monotonic();
  await tidyUp(source, progress.note);
  const { owner } = await needDatabase(source, order.from);
  let replaces: string | undefined;
  if (order.replace) {
    assertDatabaseName(source.config, order.to);
    await needDatabase(source, order.to);
    replaces = await source.superuser.use(async (session) => await oidOf(session, order.to));
    if (!order.keepOld) await assertReplaceable(source.superuser, order.to);
  } else await assertFree(source, order.to);
  const root = source.config.odoo.filestore;
  const folder = filestoreFor(source.config, order.from);
  const withFiles = root !== undefined && folder !== undefined && (await hasFilestore(root, folder));
  const target = await NewDatabase.begin(source);
  const filling: Filling = { source, database: order.to, target, progress, files: undefined, unpacked: 0 };
  try {
    if (withFiles && root !== undefined) filling.files = new NewFilestore(path.join(root, target.name));
    const copying: Copying = { source, order, target, filling, folder, progress };
    const copied = (await copyByTemplate(copying)) ?? (await copyByDump(copying));
    const notes = [...copied.notes, ...(await completeFiles(copying))];
    if (!withFiles && root === undefined)
      notes.push('attachments were not copied: "odoo.filestore" is not set');
    if (!withFiles && folder !== undefined && (await namesFiles(target)))
      notes.push(`attachments were not copied: there is no ${folder}`);
    if (order.neutralize && source.config.odoo.addons_path.length === 0)
      notes.push("odoo.addons_path is not set: modules of your own may still talk to others");
    if (order.neutralize) progress.step(order.to, "neutralise");
    const scripts = order.neutralize ? await neutralizeCopy(source, target, order.from) : [];
    const live = !order.neutralize && (await target.superuser.use(isOdooDatabase));
    const aside = await keepSetAside(source.restoresDir, order.to, copied.setAside);
    const { kept, notes: undone } = await publish(
      source,
      target,
      {
        database: order.to,
        owner,
        replaces,
        keepOld: order.keepOld,
        files: filling.files,
        like: order.from,
      },
      progress,
    );
    return {
      database: order.to,
      from: order.from,
      how: copied.how,
      neutralized: order.neutralize,
      live,
      neutralize_files: scripts,
      files: filling.files?.files ?? null,
      seconds: Math.round((monotonic() - begun) / 100) / 10,
      kept: kept ?? null,
      set_aside: aside,
      notes: [...notes.filter((note) => !asideNotes(copied.setAside).includes(note)), ...undone],
    };
  } catch (error) {
    await discardFilling(filling);
    throw await tellFailure(source, error, {
      what: `The copy of "${order.from}" failed`,
      database: order.to,
      safe: "The copy is removed; nothing that existed was changed.",
    });
  }
}

/** Whether a copy names attachments in a filestore. */
async function namesFiles(target: NewDatabase): Promise<boolean> {
  return await target.superuser.use(async (session) => {
    if (!(await isOdooDatabase(session))) return false;
    await session.query("BEGIN READ ONLY");
    const { done } = await storeFnames(session).next();
    return done !== true;
  });
}

interface Copying {
  readonly source: BackupSource;
  readonly order: CopyOrder;
  readonly target: NewDatabase;
  readonly filling: Filling;
  /** Where the attachments of the source are. */
  readonly folder: string | undefined;
  readonly progress: Progress;
}

interface Copied {
  readonly how: CopyReport["how"];
  readonly notes: readonly string[];
  readonly setAside: readonly SetAside[];
}

/** Shares the files that a session's transaction names; returns how many are missing. */
async function shareFiles(copying: Copying, session: Session): Promise<number> {
  const { source, folder } = copying;
  const { files } = copying.filling;
  if (!files || folder === undefined || !(await isOdooDatabase(session))) return 0;
  let missing = 0;
  const reader = new FilestoreReader(folder);
  try {
    for await (const names of storeFnames(session)) {
      source.signal?.throwIfAborted();
      for (const name of names) if (!(await files.share(reader, name))) missing += 1;
    }
  } finally {
    reader.close();
  }
  return missing;
}

/** The server itself copies, as long as no session is connected. Undefined when one is. */
async function copyByTemplate(copying: Copying): Promise<Copied | undefined> {
  const { source, order, target, progress } = copying;
  const { sessions, connectable } = await needDatabase(source, order.from);
  if (sessions > 0) return undefined;
  if (connectable && copying.filling.files) {
    // Files first: one that the collector deletes meanwhile is then in the copy all the same.
    progress.step(order.to, "share the attachments");
    await source.superuser.in(order.from).use(async (session) => {
      await session.query("BEGIN READ ONLY");
      await shareFiles(copying, session);
    });
  }
  progress.step(order.to, `copy ${order.from} inside the server`);
  try {
    await target.createCopy(order.from);
    return { how: "template", notes: [], setAside: [] };
  } catch (error) {
    // 55006 object_in_use: a session connected meanwhile.
    if (error instanceof SqlError && error.code === "55006") return undefined;
    throw error;
  }
}

/**
 * A dump of one moment goes straight into a restore, while others work in the source. A role that may do nothing else
 * loads it: functions of the source, for example in a CHECK, run with the rights of the loading role.
 */
async function copyByDump(copying: Copying): Promise<Copied> {
  const { source, order, target, progress, filling } = copying;
  const session = await source.superuser.in(order.from).session({ settings: { lock_timeout: "30s" } });
  try {
    const snapshot = await beginSnapshot(session);
    const definitions = await readDefinitions(session);
    progress.step(order.to, `copy ${order.from} by a dump: it is in use`);
    await target.createEmpty(definitions.database);
    const immutableUnaccent = definitions.unaccent?.immutable === true;
    const { contents, result } = await contentsBeside(
      session,
      async () => await dumpInto(copying, session, snapshot, immutableUnaccent),
      async () => {},
    );
    const { setAside, notes: told } = result;
    const expected = withoutSetAside(contents, setAside);
    const loaded: Loaded = {
      objects: objectsIn(expected),
      differences: (found) =>
        findDifferences(ownedBy(expected, target.loader, found), found, { owners: true, definitions: true }),
      notes: [...told, ...asideNotes(setAside)],
      setAside,
      owners: expected,
      rights: rightsOf(expected),
      settings: [],
      knownMissing: undefined,
    };
    const { notes } = await proveLoaded(filling, loaded, expected.database.owner, async () => []);
    // While the collector is blocked.
    if (filling.files) progress.step(order.to, "share the attachments");
    await shareFiles(copying, session);
    await endSnapshot(session);
    return { how: "dump", notes, setAside };
  } finally {
    await session.close();
  }
}

async function dumpInto(
  { source, order, filling }: Copying,
  session: SuperuserSession,
  { snapshot, encoding }: Snapshot,
  immutableUnaccent: boolean,
): Promise<ArchiveLoaded> {
  const { signal } = source;
  const { connection, environment } = await source.superuser.in(order.from).client("odoo-pg copy", session);
  const program = programOf(source.installation, "pg_dump");
  const argsOf = (...args: readonly string[]): string[] => [
    "--format=custom",
    "--compress=0",
    `--snapshot=${snapshot}`,
    `--encoding=${encoding}`,
    "--lock-wait-timeout=120000",
    "--no-password",
    `--dbname=${connection}`,
    ...args,
  ];
  return await temporaryDirectory(undefined, async (folder) => {
    // Small parts go through a file, from which parts can be selected; the rows are never on the disk twice.
    const file = path.join(folder, "frame");
    await runClientProgram(program, argsOf("--section=pre-data", "--section=post-data", `--file=${file}`), {
      environment,
      signal,
    });
    const list = readArchiveList(await listArchive(source, file));
    const frame: Archive = {
      name: file,
      file,
      list,
      jobs: jobsOf(filling),
      trusted: true,
      immutableUnaccent,
      rightsKnown: true,
    };
    const first = await loadAsSql(filling, frame, list.first);
    const before = await restoreEntries(filling, { ...frame, jobs: 1 }, list.load, [
      "--section=pre-data",
      "--verbose",
    ]);
    // Objects that rows need must be there before them; what is set aside is reported at the end.
    const tables = await loadAsSql(filling, frame, before, { again: true });
    const rows = await produce({ program, args: argsOf("--section=data"), environment, signal });
    try {
      await pgRestore(filling, ["--section=data", "--exit-on-error"], { input: rows.output });
    } finally {
      rows.kill();
    }
    await rows.ended;
    // Without it, pg_restore does not say what failed, for example which object its own processes kept from each other.
    const after = await restoreEntries(filling, frame, list.load, ["--section=post-data", "--verbose"]);
    const rest = await loadAsSql(filling, frame, [...after, ...list.last], { again: true });
    return bothOf(bothOf(first, tables), rest);
  });
}

/** Files that were added to the source between the copy of its files and its own copy. */
async function completeFiles(copying: Copying): Promise<string[]> {
  const { target } = copying;
  const { files } = copying.filling;
  if (!files) return [];
  const missing = await target.superuser.use(async (session) => {
    await session.query("BEGIN READ ONLY");
    return await shareFiles(copying, session);
  });
  await files.finish();
  return missing ? [`${missing} attachments have no file: the source lacks them too`] : [];
}
