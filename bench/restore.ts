import { execa } from "execa";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeOdooDatabase, type RunSql } from "./odoo-data.ts";
import { type Benchmark, table, timed } from "./table.ts";
import { freePorts, inFolder } from "./throwaway.ts";

/** Size of the database, as a multiple of 1.1 GB, and its attachments. */
const scale = Number(process.env["BENCH_SCALE"] ?? 1);
const attachments = Math.round(20_000 * scale);

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function share(own: number, other: number): string {
  return (own / other).toFixed(2);
}

/** Restores and copies against what the origin's scripts and a hand-made dump and restore take, in one run. */
export const restoreTime: Benchmark = {
  name: "restore",
  title: "Restore and copy",
  measure: async (program) =>
    await inFolder(async (folder) => {
      const [pg1 = 0, read = 0, write = 0] = await freePorts(3);
      const state = join(folder, "s");
      const filestore = join(folder, "f");
      const configuration = join(folder, "odoo-pg.yaml");
      mkdirSync(filestore);
      writeFileSync(
        configuration,
        `cluster: bench
state_dir: ${state}
nodes: [{ name: pg1, port: ${pg1} }]
endpoints: { read: { port: ${read} }, write: { port: ${write} } }
odoo: { filestore: ${filestore} }
backup: { enabled: false, drill_schedule: "off", dir: ${join(folder, "b")} }
`,
      );
      const run = async (...args: readonly string[]): Promise<{ stdout: string; peak: number }> => {
        const peakFile = join(folder, "peak");
        const timeArgs = [
          "-f",
          "%M",
          "-o",
          peakFile,
          process.execPath,
          program,
          ...args,
          "--config",
          configuration,
        ];
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
        const { stdout } = await run("backup", "create", "big", "--json");
        const [, id = ""] = /"id": "([^"]+)"/.exec(stdout) ?? [];
        let peak = 0;
        const own = async (...args: readonly string[]): Promise<number> =>
          await timed(async () => {
            peak = (await run(...args)).peak;
          });
        const origin = await timed(async () => {
          await execa("createdb", ["origin"], { env });
          await execa("pg_restore", ["-d", "origin", dump], { env, reject: false });
        });
        const restored = await own("restore", id, "--as", "restored");
        const restorePeak = peak;
        const again = await timed(async () => {
          await sql("postgres", "DROP DATABASE origin");
          await execa("createdb", ["origin"], { env });
          await execa("pg_restore", ["-d", "origin", dump], { env, reject: false });
        });
        const copied = await own("db", "copy", "big", "copied");
        const copyPeak = peak;
        const byHand = dumped + again;
        rmSync(dump);
        return table(
          ["what", "odoo-pg", "the other way", "share", "memory of odoo-pg"],
          [
            [
              `restore, with ${attachments} attachments and compared, against createdb and pg_restore (twice: ${seconds(origin)}, ${seconds(again)})`,
              seconds(restored),
              seconds((origin + again) / 2),
              share(restored, (origin + again) / 2),
              `${Math.round(restorePeak / 1024)} MB`,
            ],
            [
              "db copy of an idle database with its attachments, against pg_dump and pg_restore without them",
              seconds(copied),
              seconds(byHand),
              share(copied, byHand),
              `${Math.round(copyPeak / 1024)} MB`,
            ],
          ],
        );
      } finally {
        await execa(process.execPath, [program, "down", "--config", configuration], { stdin: "ignore" });
      }
    }),
};
