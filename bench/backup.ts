import { execa } from "execa";
import { cpSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { addAttachments, makeOdooDatabase, type RunSql } from "./odoo-data.ts";
import { type Benchmark, median, table, timed } from "./table.ts";
import { inFolder, oneNode } from "./throwaway.ts";

const RUNS = 3;
const ATTACHMENTS = 20_000;
const SMALL_DATABASES = 200;

interface Server {
  readonly folder: string;
  readonly filestore: string;
  readonly backups: string;
  readonly sql: RunSql;
  readonly odooPg: (...args: readonly string[]) => Promise<string>;
  /** One of PostgreSQL's programs, connected as the superuser. */
  readonly tool: (name: string, ...args: readonly string[]) => Promise<void>;
  /** Peak memory of the last odoo-pg, in kilobytes, without PostgreSQL's programs. */
  readonly memory: () => number;
}

/** A cluster of one node with a filestore and backups. */
async function withServer<T>(program: string, use: (server: Server) => Promise<T>): Promise<T> {
  return await inFolder(async (folder) => {
    const { configuration, filestore, backups, port } = await oneNode(folder);
    const usage = join(folder, "usage");
    const odooPg = async (...args: readonly string[]): Promise<string> =>
      (
        await execa(
          "/usr/bin/time",
          ["-f", "%M", "-o", usage, process.execPath, program, ...args, "--config", configuration],
          { stdin: "ignore" },
        )
      ).stdout;
    await odooPg("up");
    const environment = { PGPASSWORD: readFileSync(`${folder}/s/secrets/postgres.password`, "utf8").trim() };
    const at = ["-h", "127.0.0.1", "-p", String(port), "-U", "postgres"];
    const tool = async (name: string, ...args: readonly string[]): Promise<void> => {
      await execa(name, [...at, ...args], { env: environment, stdin: "ignore" });
    };
    const sql: RunSql = async (database, text) => {
      await execa("psql", [...at, "-q", "-X", "-v", "ON_ERROR_STOP=1", "-d", database], {
        env: environment,
        input: text,
        stdout: "ignore",
      });
    };
    try {
      const memory = (): number => Number(readFileSync(usage, "utf8").trim().split("\n").at(-1));
      return await use({ folder, filestore, backups, sql, odooPg, tool, memory });
    } finally {
      await odooPg("down");
    }
  });
}

function bytesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
const ratio = (ours: number, theirs: number): string => (ours / theirs).toFixed(2);

/** A backup of a database of 1 GB with 20,000 attachments, compared with the origins' way. */
export const backupTime: Benchmark = {
  name: "backup",
  title: "Backup of a database of 1 GB with 20,000 attachments",
  measure: async (program) =>
    await withServer(program, async ({ folder, filestore, backups, sql, odooPg, tool, memory }) => {
      await makeOdooDatabase(sql, "prod", filestore, { scale: 1, attachments: ATTACHMENTS });
      const first = await timed(async () => void (await odooPg("backup", "create", "prod")));
      const firstMemory = memory();
      const origin: number[] = [];
      const ours: number[] = [];
      const dumpFile = join(folder, "prod.dump");
      for (let run = 0; run < RUNS; run += 1) {
        origin.push(await timed(async () => await tool("pg_dump", "-Fc", "-f", dumpFile, "prod")));
        ours.push(await timed(async () => void (await odooPg("backup", "create", "prod"))));
      }
      const newest = readdirSync(backups)
        .filter((name) => name.endsWith(".dump"))
        .sort()
        .at(-1);
      const size = bytesBelow(join(backups, newest ?? ""));
      const dumpSize = statSync(dumpFile).size;

      const again: number[] = [];
      const odoo: number[] = [];
      let added = 0;
      for (let run = 0; run < RUNS; run += 1) {
        await addAttachments(sql, "prod", filestore, ATTACHMENTS / 100);
        const before = bytesBelow(join(backups, "filestore"));
        again.push(await timed(async () => void (await odooPg("backup", "create", "prod"))));
        added = bytesBelow(join(backups, "filestore")) - before;
        // Odoo's database manager copies the filestore, dumps as SQL and zips both.
        odoo.push(
          await timed(async () => {
            const work = join(folder, "odoo");
            cpSync(join(filestore, "prod"), join(work, "filestore"), { recursive: true });
            await tool("pg_dump", "--no-owner", "-f", join(work, "dump.sql"), "prod");
            await execa("zip", ["-q", "-r", join(folder, "odoo.zip"), "."], { cwd: work });
            rmSync(work, { recursive: true });
            rmSync(join(folder, "odoo.zip"));
          }),
        );
      }
      const second = median(again);
      const zipped = median(odoo);
      const time = median(ours);
      const originTime = median(origin);
      return table(
        ["", "odoo-pg", "the other side", "ratio", "target"],
        [
          [
            "time, against `pg_dump -Fc`",
            seconds(time),
            seconds(originTime),
            ratio(time, originTime),
            "0.55",
          ],
          [
            "size, against `pg_dump -Fc`",
            megabytes(size),
            megabytes(dumpSize),
            ratio(size, dumpSize),
            "1.35",
          ],
          [
            "again with 1 % new attachments, against copy, dump and zip",
            seconds(second),
            seconds(zipped),
            ratio(second, zipped),
            "0.15",
          ],
          ["thereof new in the pool of attachments", megabytes(added), "", "", ""],
          ["the first backup, with all attachments", seconds(first), "", "", ""],
          ["memory of odoo-pg, first backup", megabytes(firstMemory * 1024), "", "", "200 MB"],
        ],
      );
    }),
};

/** 200 small databases, compared with as many calls of pg_dump. */
export const manyBackups: Benchmark = {
  name: "backups",
  title: `Backup of ${SMALL_DATABASES} databases of 10 MB`,
  measure: async (program) =>
    await withServer(program, async ({ folder, filestore, sql, odooPg, tool, memory }) => {
      await makeOdooDatabase(sql, "db000", filestore, { scale: 0.005, attachments: 0 });
      const names = Array.from({ length: SMALL_DATABASES }, (_, n) => `db${String(n).padStart(3, "0")}`);
      for (const name of names.slice(1)) await sql("postgres", `CREATE DATABASE "${name}" TEMPLATE db000`);
      const origin = await timed(async () => {
        for (const name of names) await tool("pg_dump", "-Fc", "-f", join(folder, `${name}.dump`), name);
      });
      const ours = await timed(async () => void (await odooPg("backup", "create", "--all")));
      return table(
        ["", "odoo-pg", "`pg_dump -Fc`", "ratio", "target"],
        [
          ["time", seconds(ours), seconds(origin), ratio(ours, origin), "1.2"],
          ["memory of odoo-pg", megabytes(memory() * 1024), "", "", "200 MB"],
        ],
      );
    }),
};
