import { execa } from "execa";
import { patroniIsHere, withPatroni } from "./patroni.ts";
import { type Benchmark, median, table, timeCells, timed } from "./table.ts";
import { type Cluster, withCluster } from "./throwaway.ts";

const RUNS = 15;

/** `status` of a healthy cluster of two nodes, as a whole process. */
export const statusTime: Benchmark = {
  name: "status",
  title: "Status of a healthy cluster, with the start of the program",
  measure: async (program) =>
    await withCluster(program, async (cluster) => {
      await cluster.run("up");
      if (!patroniIsHere) return `patronictl is not installed here.\n\n${await compare(cluster)}`;
      return await withPatroni(async (list) => {
        if (!(await list()).includes("pg2")) throw new Error("patronictl does not list the members");
        return `patronictl lists two members, from an etcd on this machine.\n\n${await compare(cluster, list)}`;
      });
    }),
};

async function compare(cluster: Cluster, list?: () => Promise<string>): Promise<string> {
  const sides: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["node, doing nothing", async () => await execa(process.execPath, ["-e", "0"])],
    ...(list ? [["patronictl list", list] as const] : []),
    ["odoo-pg status", async () => await cluster.run("status")],
    ["odoo-pg status --json", async () => await cluster.run("status", "--json")],
  ];
  const times = sides.map((): number[] => []);
  for (let run = 0; run < RUNS; run += 1) {
    for (const [index, [, act]] of sides.entries())
      times[index]?.push(await timed(async () => void (await act())));
  }
  const reference = list ? median(times[1] ?? []) : undefined;
  return table(
    [`${RUNS} runs each`, "median", "lowest", "highest", "of patronictl list"],
    sides.map(([name], index) => {
      const side = times[index] ?? [];
      return [
        name,
        ...timeCells(side),
        reference === undefined ? "?" : (median(side) / reference).toFixed(2),
      ];
    }),
  );
}
