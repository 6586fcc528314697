import { rmSync } from "node:fs";
import { join } from "node:path";
import { preparePgbench, tool, withReplicated } from "./replicated.ts";
import { type Benchmark, median, table, timeCells, timed } from "./table.ts";
import { giveTo, serverUser } from "./throwaway.ts";
import { mkdirSync } from "node:fs";

const ROUNDS = 3;
/** About 1 GB. */
const SCALE = 68;

/** A replica made anew, against the copying alone. */
export const reseedTime: Benchmark = {
  name: "reseed",
  title: "Reseed of a replica of 1 GB",
  measure: async (program) =>
    await withReplicated(program, { nodes: 2, consistency: "bounded" }, async (cluster) => {
      await preparePgbench(cluster, SCALE);
      const size = String(
        await cluster.value("pg1", "SELECT pg_size_pretty(sum(pg_database_size(oid))) FROM pg_database"),
      );
      const bare: number[] = [];
      const ours: number[] = [];
      const user = await serverUser();
      for (let round = 0; round < ROUNDS; round += 1) {
        const parent = join(cluster.folder, "bare");
        mkdirSync(parent);
        giveTo(parent, user);
        bare.push(
          await timed(
            async () =>
              void (await tool(cluster, "pg_basebackup", [
                "-D",
                join(parent, "data"),
                "-c",
                "fast",
                "-X",
                "stream",
                "-U",
                "replicator",
                "-p",
                String(cluster.ports.node("pg1")),
              ])),
          ),
        );
        rmSync(parent, { recursive: true });
        ours.push(await timed(async () => void (await cluster.run("reseed", "pg2", "--discard-old"))));
        await cluster.healthy();
      }
      return [
        `${size} in all databases. \`odoo-pg reseed\` returns when the replica streams again, its old data removed: stop, copy, rename,`,
        "start. pg_basebackup alone copies over the same connection (TLS) to the same disk.",
        "",
        table(
          [`${ROUNDS} runs each`, "median", "least", "most"],
          [
            ["pg_basebackup --checkpoint=fast", ...timeCells(bare)],
            ["odoo-pg reseed", ...timeCells(ours)],
            ["factor", (median(ours) / median(bare)).toFixed(2), "", ""],
          ],
        ),
      ].join("\n");
    }),
};
