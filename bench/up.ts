import { execa } from "execa";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type Benchmark, median, table, timeCells, timed } from "./table.ts";
import { freePorts, giveTo, inFolder, serverUser, withCluster } from "./throwaway.ts";

const RUNS = 7;

/** From an empty directory to a primary and a streaming replica: odoo-pg compared with the tools that it uses. */
export const upTime: Benchmark = {
  name: "up",
  title: "From an empty directory to a streaming replica",
  async measure(program) {
    const ours: number[] = [];
    const raw: number[] = [];
    for (let run = 0; run < RUNS; run += 1) {
      raw.push(await rawTools());
      await withCluster(program, async (cluster) => {
        ours.push(await timed(async () => void (await cluster.run("up"))));
      });
    }
    return [
      "`odoo-pg up` returns when the replica streams and both endpoints answer. That includes TLS, SCRAM passwords, roles, Odoo's template",
      "and HAProxy. The raw tools are called one after another: initdb, start, role and slot,",
      "pg_basebackup --checkpoint=fast, start, until the replica streams.",
      "",
      table(
        [`${RUNS} runs each`, "median", "lowest", "highest"],
        [
          ["raw tools", ...timeCells(raw)],
          ["odoo-pg up", ...timeCells(ours)],
          ["factor", (median(ours) / median(raw)).toFixed(2), "", ""],
        ],
      ),
    ].join("\n");
  },
};

/** Milliseconds. */
async function rawTools(): Promise<number> {
  const user = await serverUser();
  const { stdout: bin } = await execa("pg_config", ["--bindir"]);
  return await inFolder(async (folder) => {
    giveTo(folder, user);
    const [port1 = 0, port2 = 0] = await freePorts(2);
    const nodes = [
      { data: join(folder, "1"), port: port1 },
      { data: join(folder, "2"), port: port2 },
    ] as const;
    const tool = async (name: string, ...args: readonly string[]): Promise<string> =>
      (await execa(join(bin, name), args, { ...user, cwd: "/", stdin: "ignore" })).stdout;
    const start = async ({ data, port }: (typeof nodes)[number]): Promise<void> =>
      void (await tool(
        "pg_ctl",
        "start",
        "-w",
        "-D",
        data,
        "-l",
        `${data}.log`,
        "-o",
        `-p ${port} -k ${folder} -h 127.0.0.1`,
      ));
    const sql = async (statement: string): Promise<string> =>
      await tool("psql", "-h", folder, "-p", String(port1), "-U", "postgres", "-Atc", statement);
    try {
      return await timed(async () => {
        await tool(
          "initdb",
          "-D",
          nodes[0].data,
          "-U",
          "postgres",
          "-E",
          "UTF8",
          "--locale=C",
          "-k",
          "-A",
          "trust",
        );
        appendFileSync(join(nodes[0].data, "postgresql.conf"), "max_connections = 300\n");
        await start(nodes[0]);
        await sql("CREATE ROLE replicator LOGIN REPLICATION");
        await sql("SELECT pg_create_physical_replication_slot('pg2')");
        await tool(
          "pg_basebackup",
          "--checkpoint=fast",
          "-D",
          nodes[1].data,
          "-R",
          "-S",
          "pg2",
          "-d",
          `host=127.0.0.1 port=${port1} user=replicator`,
        );
        await start(nodes[1]);
        while ((await sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")) !== "1") {
          await pause(5);
        }
      });
    } finally {
      for (const { data } of nodes)
        await tool("pg_ctl", "stop", "-m", "immediate", "-D", data).catch(() => {});
    }
  });
}
