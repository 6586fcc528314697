import { execa } from "execa";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { earlierProgram } from "../scripts/earlier.mjs";
import { makeOdooDatabase } from "./odoo-data.ts";
import { type Benchmark, median, table, timed } from "./table.ts";
import { inFolder, oneNode, withCluster } from "./throwaway.ts";

const RUNS = 9;

/** The cost of least rights: this program beside that of 0.1.0, in turns, on data made in the same way. */
export const beforeAndNow: Benchmark = {
  name: "earlier",
  title: "Compared with version 0.1.0",
  async measure(program) {
    const earlier = earlierProgram();
    const ups: Sides = { earlier: [], now: [] };
    for (let run = 0; run < RUNS; run += 1) {
      for (const [side, one] of inTurns(run, earlier, program)) {
        await withCluster(one, async (cluster) => {
          ups[side].push(await timed(async () => void (await cluster.run("up"))));
        });
      }
    }
    const backups = await backupTimes(earlier, program);
    return [
      "The target: at most 5 % slower. Backups are of one node, with a database of 330 MB with 2,000 attachments.",
      "",
      table(
        [`${RUNS} runs each, medians`, "0.1.0", "now", "ratio", "target"],
        [row("up, from an empty directory, two nodes", ups), row("backup create", backups)],
      ),
    ].join("\n");
  },
};

type Sides = Readonly<Record<"earlier" | "now", number[]>>;

function inTurns(run: number, earlier: string, now: string) {
  const both = [
    ["earlier", earlier],
    ["now", now],
  ] as const;
  return run % 2 === 0 ? both : both.toReversed();
}

function row(what: string, { earlier, now }: Sides): readonly string[] {
  const seconds = (times: readonly number[]): string => `${(median(times) / 1000).toFixed(2)} s`;
  return [what, seconds(earlier), seconds(now), (median(now) / median(earlier)).toFixed(2), "1.05"];
}

/** Milliseconds of `backup create` of the same database: made under 0.1.0, then taken over. */
async function backupTimes(earlier: string, program: string): Promise<Sides> {
  return await inFolder(async (folder) => {
    const sides = {
      earlier: await clusterOf(earlier, folder, "e"),
      now: await clusterOf(program, folder, "n"),
    };
    try {
      const times: Sides = { earlier: [], now: [] };
      for (let run = -1; run < RUNS; run += 1) {
        for (const [side] of inTurns(run, earlier, program)) {
          const time = await timed(async () => await sides[side]("backup", "create", "prod"));
          // The first run takes all attachments.
          if (run >= 0) times[side].push(time);
        }
      }
      return times;
    } finally {
      await sides.earlier("down");
      await sides.now("down");
    }
  });
}

async function clusterOf(program: string, parent: string, name: string) {
  const folder = join(parent, name);
  const { configuration, filestore, port } = await oneNode(folder);
  const odooPg = async (...args: readonly string[]): Promise<void> =>
    void (await execa(process.execPath, [program, ...args, "--config", configuration], { stdin: "ignore" }));
  await odooPg("up");
  const password = readFileSync(`${folder}/s/secrets/postgres.password`, "utf8").trim();
  await makeOdooDatabase(
    async (database, text) => {
      await execa(
        "psql",
        [
          "-h",
          "127.0.0.1",
          "-p",
          String(port),
          "-U",
          "postgres",
          "-q",
          "-X",
          "-v",
          "ON_ERROR_STOP=1",
          "-d",
          database,
        ],
        { env: { PGPASSWORD: password }, input: text, stdout: "ignore" },
      );
    },
    "prod",
    filestore,
    { scale: 0.3, attachments: 2000 },
  );
  return odooPg;
}
