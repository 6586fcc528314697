import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { preparePgbench, tool, withReplicated } from "./replicated.ts";
import { type Benchmark, median, table, timeCells, timed } from "./table.ts";
import { giveTo, serverUser } from "./throwaway.ts";

const ROUNDS = 5;
/** About 1 GB. */
const SCALE = 68;

/** A rebuild of a replica, compared with the copying alone. */
export const reseedTime: Benchmark = {
  name: "reseed",
  title: "Reseed of a replica of 1 GB",
  measure: async (program) =>
    await withReplicated(program, { nodes: 2, consistency: "bounded" }, async (cluster) => {
      await preparePgbench(cluster, SCALE);
      const size = String(
        await cluster.value("pg1", "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database"),
      );
      const socketDir = join(cluster.stateDir, "run");
      const user = await serverUser();
      const parent = join(cluster.folder, "bare");
      const copyFrom = async (host: string): Promise<void> => {
        const { stderr } = await tool(cluster, "pg_basebackup", [
          `--pgdata=${join(parent, "data")}`,
          "--checkpoint=fast",
          "--wal-method=stream",
          "--username=replicator",
          `--host=${host}`,
          `--port=${cluster.ports.node("pg1")}`,
        ]);
        if (stderr !== "") throw new Error(stderr);
      };
      const bare = async (host: string): Promise<number> => {
        mkdirSync(parent);
        giveTo(parent, user);
        const time = await timed(async () => await copyFrom(host));
        rmSync(parent, { recursive: true });
        return time;
      };
      const overTcp: number[] = [];
      const overSocket: number[] = [];
      const ours: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        overTcp.push(await bare("127.0.0.1"));
        overSocket.push(await bare(socketDir));
        ours.push(await timed(async () => void (await cluster.run("reseed", "pg2"))));
        await cluster.healthy();
        const nodeDir = join(cluster.stateDir, "nodes/pg2");
        for (const name of readdirSync(nodeDir).filter((one) => one.startsWith("data.aside-")))
          rmSync(join(nodeDir, name), { recursive: true });
      }
      const times = (of: number): string => (median(ours) / of).toFixed(2);
      return [
        `${size} in all databases. \`odoo-pg reseed\` returns when the replica streams again: copy, stop, exchange, start. The old data`,
        "is kept aside. reseed copies through the primary's Unix socket. pg_basebackup alone copies to the same disk, over TCP with TLS as",
        "it does between hosts, and over that socket.",
        "",
        table(
          [`${ROUNDS} runs each`, "median", "lowest", "highest", "reseed takes"],
          [
            ["pg_basebackup -c fast, TCP and TLS", ...timeCells(overTcp), `${times(median(overTcp))} times`],
            [
              "pg_basebackup -c fast, Unix socket",
              ...timeCells(overSocket),
              `${times(median(overSocket))} times`,
            ],
            ["odoo-pg reseed", ...timeCells(ours), ""],
          ],
        ),
      ].join("\n");
    }),
};
