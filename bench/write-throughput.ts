import { pgbench, preparePgbench, withReplicated, type Replicated } from "./replicated.ts";
import { type Benchmark, median, table } from "./table.ts";

const ROUNDS = 9;
const SECONDS = 6;
const SCALE = 10;

/** The cost of a commit that waits until the replica has applied it. */
export const writeThroughput: Benchmark = {
  name: "writes",
  title: "Write throughput of read-your-writes",
  measure: async (program) =>
    await withReplicated(
      program,
      { nodes: 2, consistency: "eventual" },
      async (plain) =>
        await withReplicated(program, { nodes: 2, consistency: "read-your-writes" }, async (strict) => {
          const sides = [plain, strict] as const;
          for (const side of sides) await preparePgbench(side, SCALE);
          const measured: [number[], number[]] = [[], []];
          for (let round = 0; round < ROUNDS; round += 1) {
            for (const [index, side] of sides.entries()) measured[index]?.push(await writes(side));
          }
          const [eventual, readYourWrites] = measured;
          const row = (name: string, tps: readonly number[]): string[] => [
            name,
            ...[median(tps), Math.min(...tps), Math.max(...tps)].map((value) => value.toFixed(0)),
          ];
          return [
            `pgbench (TPC-B, scale ${SCALE}) with 8 clients for ${SECONDS} s through the write endpoint, one replica, in turns.`,
            "",
            table(
              [`transactions a second, ${ROUNDS} runs each`, "median", "lowest", "highest"],
              [
                row("eventual", eventual),
                row("read-your-writes", readYourWrites),
                ["ratio", (median(readYourWrites) / median(eventual)).toFixed(2), "", ""],
              ],
            ),
          ].join("\n");
        }),
    ),
};

async function writes(cluster: Replicated): Promise<number> {
  return await pgbench(cluster, cluster.ports.write, SECONDS);
}
