import { execa } from "execa";
import { type Benchmark, table, timeCells, timed } from "./table.ts";
import { withCluster } from "./throwaway.ts";

const RUNS = 15;

/** `status` of a healthy cluster of two nodes, as a whole process. */
export const statusTime: Benchmark = {
  name: "status",
  title: "Status of a healthy cluster, as a whole process",
  measure: async (program) =>
    await withCluster(program, async (cluster) => {
      await cluster.run("up");
      const sides: readonly [string, () => Promise<void>][] = [
        ["node, which does nothing", async () => void (await execa(process.execPath, ["-e", "0"]))],
        ["odoo-pg status", async () => void (await cluster.run("status"))],
        ["odoo-pg status --json", async () => void (await cluster.run("status", "--json"))],
      ];
      const times = sides.map((): number[] => []);
      for (let run = 0; run < RUNS; run += 1) {
        for (const [index, [, act]] of sides.entries()) times[index]?.push(await timed(act));
      }
      return table(
        [`${RUNS} runs each`, "median", "least", "most"],
        sides.map(([name], index) => [name, ...timeCells(times[index] ?? [])]),
      );
    }),
};
