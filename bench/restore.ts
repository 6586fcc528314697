import { execa } from "execa";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeOdooDatabase, type RunSql } from "./odoo-data.ts";
import { type Benchmark, median, table, timed } from "./table.ts";
import { freePorts, inFolder } from "./throwaway.ts";

/** Size of the database, as a multiple of 1.1 GB, and its attachments. */
const scale = Number(process.env["BENCH_SCALE"] ?? 1);
const attachments = Math.round(20_000 * scale);

const RUNS = 3;

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function share(own: number, other: number): string {
  return (own / other).toFixed(2);
}

/** Restores and copies, compared with the origin's scripts and a manual dump and restore, in one run. */
export const restoreTime: Benchmark = {
  name: "restore",
  title: "Restore and copy",
  measure: async (program) =>
    await inFolder(async (folder) => {
      const [pg1 = 0, read = 0, write = 0] = await freePorts(3);
      const state = join(folder, "s");
      const filestore = join(folder, "f");
      mkdirSync(filestore);
      const configured = (name: string, odoo: string): string => {
        const file = join(folder, name);
        writeFileSync(
          file,
          `cluster: bench
state_dir: ${state}
nodes: [{ name: pg1, port: ${pg1} }]
endpoints: { read: { port: ${read} }, write: { port: ${write} } }
console: { enabled: false }
odoo: ${odoo}
backup: { enabled: false, drill_schedule: "off", dir: ${join(folder, "b")} }
`,
        );
        return file;
      };
      const configuration = configured("odoo-pg.yaml", `{ filestore: ${filestore} }`);
      // Like the other side: the database alone.
      const withoutFiles = configured("without.yaml", "{}");
      const run = async (
        config: string,
        ...args: readonly string[]
      ): Promise<{ stdout: string; peak: number }> => {
        const peakFile = join(folder, "peak");
        const timeArgs = ["-f", "%M", "-o", peakFile, process.execPath, program, ...args, "--config", config];
        const { stdout } = await execa("/usr/bin/time", timeArgs, { stdin: "ignore" });
        return { stdout, peak: Number(readFileSync(peakFile, "utf8").trim()) };
      };
      await execa(process.execPath, [program, "up", "--config", configuration], { stdin: "ignore" });
      try {
        const password = readFileSync(join(state, "secrets", "postgres.password"), "utf8").trim();
        const env = {
          PGHOST: join(state, "run"),
          PGPORT: String(pg1),
          PGUSER: "postgres",
          PGPASSWORD: password,
        };
        const sql: RunSql = async (database, text) => {
          await execa("psql", ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"], {
            env,
            input: text,
          });
        };
        await makeOdooDatabase(sql, "big", filestore, { scale, attachments });
        await sql("postgres", "ALTER DATABASE big OWNER TO odoo");
        await sql("big", "REASSIGN OWNED BY postgres TO odoo").catch(() => {});
        const dump = join(folder, "big.dump");
        const dumped = await timed(async () => {
          await execa("pg_dump", ["-Fc", "-f", dump, "big"], { env });
        });
        const backedUp = async (config: string): Promise<string> => {
          const { stdout } = await run(config, "backup", "create", "big", "--json");
          return /"id": "([^"]+)"/.exec(stdout)?.[1] ?? "";
        };
        const whole = await backedUp(configuration);
        const alone = await backedUp(withoutFiles);
        let peak = 0;
        /** Each run starts with no unwritten data of the one before. */
        const measured = async (act: () => Promise<unknown>): Promise<number> => {
          await sql("postgres", "CHECKPOINT");
          await execa("sync");
          return await timed(async () => void (await act()));
        };
        const own = async (config: string, ...args: readonly string[]): Promise<number> =>
          await measured(async () => {
            peak = Math.max(peak, (await run(config, ...args)).peak);
          });
        const drop = async (...names: readonly string[]): Promise<void> => {
          for (const name of names) await run(configuration, "db", "drop", name, "--confirm", name);
        };
        const byOrigin = async (): Promise<number> => {
          const time = await measured(async () => {
            await execa("createdb", ["origin"], { env });
            await execa("pg_restore", ["-d", "origin", dump], { env });
          });
          await drop("origin");
          return time;
        };
        /** The other side's way to restore the attachments. */
        const byCopy = async (): Promise<number> => {
          const copy = join(filestore, "copy");
          const time = await measured(async () => await execa("cp", ["-a", join(filestore, "big"), copy]));
          rmSync(copy, { recursive: true });
          return time;
        };
        const origin: number[] = [];
        const copies: number[] = [];
        const databases: number[] = [];
        const files: number[] = [];
        for (let turn = 0; turn < RUNS; turn += 1) {
          origin.push(await byOrigin());
          copies.push(await byCopy());
          databases.push(await own(withoutFiles, "restore", alone, "--as", "alone"));
          files.push(await own(configuration, "restore", whole, "--as", "whole"));
          await drop("alone", "whole");
        }
        const restorePeak = peak;
        const copying = median(copies);
        const [again, restored, restoredWhole] = [median(origin), median(databases), median(files)];
        peak = 0;
        const copied = await own(configuration, "db", "copy", "big", "copied");
        const copyPeak = peak;
        const byHand = dumped + again;
        rmSync(dump);
        return table(
          ["what", "odoo-pg", "the other way", "ratio", "target", "memory of odoo-pg"],
          [
            [
              "restore and comparison, against `createdb` and `pg_restore`",
              seconds(restored),
              seconds(again),
              share(restored, again),
              "0.75",
              `${Math.round(restorePeak / 1024)} MB`,
            ],
            [
              `the same with ${attachments} attachments, checked and flushed to disk, against \`cp -a\` after that`,
              seconds(restoredWhole),
              seconds(again + copying),
              share(restoredWhole, again + copying),
              "",
              "",
            ],
            [
              "`db copy` of an idle database with its attachments, against `pg_dump` and `pg_restore` without them",
              seconds(copied),
              seconds(byHand),
              share(copied, byHand),
              "0.25",
              `${Math.round(copyPeak / 1024)} MB`,
            ],
          ],
        );
      } finally {
        await execa(process.execPath, [program, "down", "--config", configuration], { stdin: "ignore" });
      }
    }),
};
