import { chownSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { execa } from "execa";
import { RepositoryCopier, type CopyState } from "../../../src/archive/copying/copier.ts";
import type { OwnRepository } from "../../../src/archive/copying/own.ts";
import { RepositoryService } from "../../../src/archive/copying/serve.ts";
import type { Source } from "../../../src/archive/copying/source.ts";
import type { Owner } from "../../../src/system/files/files.ts";
import { connect, type Session } from "../../support/pg.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import { installation, serverOwner } from "../../postgres/throwaway-node.ts";

export const STANZA = "shop";

/** A port that names a socket in a folder of its own, so that no other server minds it. */
const PORT = 5432;

/** A repository of pgBackRest with the server that archives into it, without anything of odoo-pg. */
export interface Archiving {
  readonly repository: string;
  readonly dataDir: string;
  readonly owner: Owner | undefined;
  readonly systemIdentifier: string;
  readonly session: Session;
  readonly pgbackrest: (...args: string[]) => Promise<string>;
  /** Writes rows, closes the segment and waits until it is archived. */
  readonly write: (rows?: number) => Promise<void>;
  readonly stop: () => Promise<void>;
}

async function asServers(
  owner: Owner | undefined,
  program: string,
  args: readonly string[],
): Promise<string> {
  const { stdout } = await execa(program, args, {
    ...(owner ? { uid: owner.uid, gid: owner.gid } : {}),
    cwd: "/",
    stdin: "ignore",
    timeout: 60_000,
  });
  return stdout;
}

/** A folder of the user that runs the servers. */
export async function serversFolder(name = "f"): Promise<string> {
  const folder = join(temporaryFolder(), name);
  mkdirSync(folder, { mode: 0o700 });
  const owner = await serverOwner();
  if (owner) chownSync(folder, owner.uid, owner.gid);
  return folder;
}

/** pgBackRest with a configuration of its own, for a repository and a data directory. */
export async function pgbackrestFor(
  repository: string,
  dataDir: string,
  days = 7,
): Promise<{ conf: string; run: (...args: string[]) => Promise<string> }> {
  const owner = await serverOwner();
  const folder = await serversFolder("p");
  const conf = join(folder, "pgbackrest.conf");
  writeFileSync(
    conf,
    [
      "[global]",
      `repo1-path=${repository}`,
      "repo1-bundle=y",
      "repo1-bundle-limit=32KiB",
      "repo1-retention-full-type=time",
      `repo1-retention-full=${days}`,
      "expire-auto=n",
      "archive-async=n",
      "compress-type=zst",
      "start-fast=y",
      `lock-path=${folder}`,
      "log-level-file=off",
      "log-level-console=off",
      "log-level-stderr=warn",
      `[${STANZA}]`,
      `pg1-path=${dataDir}`,
      `pg1-port=${PORT}`,
      `pg1-socket-path=${dirname(dataDir)}`,
      "pg1-user=postgres",
      "",
    ].join("\n"),
  );
  const words = [`--config=${conf}`, `--stanza=${STANZA}`];
  return { conf, run: async (...args) => await asServers(owner, "pgbackrest", [...words, ...args]) };
}

/** Starts a server on a data directory, which archives into a repository. */
async function start(dataDir: string, repository: string): Promise<Archiving> {
  const owner = await serverOwner();
  const { programsDir } = await programs();
  const folder = dirname(dataDir);
  const { conf, run } = await pgbackrestFor(repository, dataDir);
  const pgCtl = async (...args: string[]): Promise<void> => {
    await asServers(owner, join(programsDir, "pg_ctl"), ["-D", dataDir, "-w", ...args]);
  };
  const settings = {
    listen_addresses: "",
    port: String(PORT),
    unix_socket_directories: folder,
    archive_mode: "on",
    archive_command: `pgbackrest --config=${conf} --stanza=${STANZA} archive-push %p`,
    fsync: "off",
    wal_keep_size: "1GB",
  };
  writeFileSync(
    join(dataDir, "own.conf"),
    Object.entries(settings)
      .map(([name, value]) => `${name} = '${value}'\n`)
      .join(""),
  );
  await pgCtl("-l", join(folder, "log"), "-o", `-c config_file=${join(dataDir, "postgresql.conf")}`, "start");
  let isRunning = true;
  const stop = async (): Promise<void> => {
    if (isRunning) await pgCtl("-m", "immediate", "stop");
    isRunning = false;
  };
  atEnd(stop);
  const session = await connect({ port: PORT, user: "postgres", host: folder });
  await waitFor(
    "the server to write",
    async () => (await session.value("SELECT pg_is_in_recovery()")) === false,
  );
  const [row] = await session.rows("SELECT system_identifier::text AS id FROM pg_control_system()");
  const write = async (rows = 10): Promise<void> => {
    await session.rows("CREATE TABLE IF NOT EXISTS marks (id serial PRIMARY KEY, text text)");
    await session.rows("INSERT INTO marks (text) SELECT md5(n::text) FROM generate_series(1, $1) n", [rows]);
    const segment = await session.value("SELECT pg_walfile_name(pg_switch_wal())");
    await waitFor(`${String(segment)} to be archived`, () => hasSegment(repository, String(segment)));
  };
  return {
    repository,
    dataDir,
    owner,
    systemIdentifier: String(row?.["id"]),
    session,
    pgbackrest: run,
    write,
    stop,
  };
}

async function programs(): Promise<{ programsDir: string }> {
  const found = await installation();
  return { programsDir: found.binDir };
}

function hasSegment(repository: string, segment: string): boolean {
  return filesOf(repository).some((file) => file.includes(`/${segment}-`) && !file.endsWith(".tmp"));
}

/** A new server that archives, with a full base backup, and WAL from before it and after it. */
export async function writtenArchiving(): Promise<Archiving> {
  const archiving = await newArchiving();
  await archiving.write();
  await archiving.pgbackrest("--type=full", "backup");
  await archiving.write();
  return archiving;
}

/** A new server that archives into a repository of its own. */
export async function newArchiving(): Promise<Archiving> {
  const owner = await serverOwner();
  const { programsDir } = await programs();
  const [repository, folder] = [await serversFolder("r"), await serversFolder("s")];
  const dataDir = join(folder, "d");
  await asServers(owner, join(programsDir, "initdb"), ["-D", dataDir, "-A", "trust", "-U", "postgres", "-N"]);
  writeFileSync(join(dataDir, "postgresql.conf"), "include 'own.conf'\n");
  const archiving = await start(dataDir, repository);
  await archiving.pgbackrest("stanza-create");
  return archiving;
}

/** Restores the newest base backup of a repository, with all WAL that it has, and starts it on a timeline of its own. */
export async function restored(
  repository: string,
  into = repository,
  args: string[] = [],
): Promise<Archiving> {
  const dataDir = join(await serversFolder("s"), "d");
  const { run } = await pgbackrestFor(repository, dataDir);
  await run("--type=default", "--archive-mode=preserve", ...args, "restore");
  return await start(dataDir, into);
}

/** All files of a repository as pgBackRest knows them, but for notes that only it needs. */
export function filesOf(repository: string): string[] {
  if (!existsSync(repository)) return [];
  return readdirSync(repository, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(repository, join(entry.parentPath, entry.name)))
    .filter((name) => /^(archive|backup)\//.test(name) && !/\.info|backup\.history/.test(name))
    .sort();
}

/** The same without WAL that is older than the oldest base backup: nobody needs it, and it is not copied. */
export function neededFiles(repository: string): string[] {
  const all = filesOf(repository);
  const segmentOf = (file: string): string | undefined => /\/([0-9A-F]{24})[.-][^/]*$/.exec(file)?.[1];
  const first = all.find((file) => file.endsWith(".backup"));
  const start = first === undefined ? "" : (segmentOf(first) ?? "");
  return all.filter((file) => (segmentOf(file) ?? "F") >= start);
}

/** Whose a file is, with which mode and size, and when it was written (milliseconds since the epoch). */
export function shapeOf(file: string): { readonly shape: object; readonly at: number } {
  const { uid, gid, mode, size, mtimeMs } = statSync(file);
  return { shape: { uid, gid, mode: mode & 0o7777, size }, at: mtimeMs };
}

/** A repository as its host's agent shows it, without a network. */
export function shown(repository: string, name = "db1"): Source {
  const service = new RepositoryService();
  return {
    name,
    async ask(path, body) {
      const told = await service.answer({ repository, stanza: STANZA }, path, JSON.stringify(body));
      if ("bytes" in told) return told;
      return { status: told.status, bytes: Buffer.from(JSON.stringify(told.body)) };
    },
  };
}

/** A repository that is empty still, beside a server's. */
export async function emptyCopy(of: Archiving, days = 7): Promise<OwnRepository> {
  const repository = join(await serversFolder("c"), "repository");
  return {
    repository,
    stanza: STANZA,
    owner: of.owner,
    systemIdentifier: of.systemIdentifier,
    days,
    dataDir: of.dataDir,
  };
}

/** Rounds until all is here, with what a host's agent does about backup.info. @throws Error where a round has a problem */
export async function copyAll(
  source: Source,
  own: OwnRepository,
  { copier = new RepositoryCopier(), isPrimary = false } = {},
): Promise<CopyState> {
  for (let round = 0; round < 50; round++) {
    const state = await copier.fetch(source, own, { isPrimary });
    if (state.problem) throw new Error(`${state.problem.kind}: ${state.problem.text}`);
    if (state.stale) await expire(own);
    else if (state.whole) return state;
  }
  throw new Error("it does not come to an end");
}

/** What a host's agent runs when backup.info is not right. */
export async function expire({ repository, dataDir, days }: OwnRepository): Promise<void> {
  await (await pgbackrestFor(repository, dataDir, Math.max(1, days))).run("expire");
}

type Read = Pick<OwnRepository, "repository" | "dataDir">;

/** Labels that `pgbackrest info` tells of. */
export async function labelsTold({ repository, dataDir }: Read): Promise<(string | undefined)[]> {
  const info = await (await pgbackrestFor(repository, dataDir)).run("--output=json", "info");
  return [...info.matchAll(/"label":"([^"]+)"/g)].map(([, label]) => label);
}

/** The same, and whether pgBackRest finds something damaged or missing. */
export async function told(read: Read) {
  const verified = await (await pgbackrestFor(read.repository, read.dataDir)).run("--output=text", "verify");
  return { labels: await labelsTold(read), damaged: /^status: error$/m.test(verified) };
}

/** Makes something in a repository, as its owner would. */
export function plant(repository: string, file: string, text: string, owner: Owner | undefined): void {
  const full = join(repository, file);
  mkdirSync(dirname(full), { recursive: true });
  writeFileSync(full, text);
  if (owner) chownSync(full, owner.uid, owner.gid);
}
