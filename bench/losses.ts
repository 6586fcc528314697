import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { baseMade, withBench, type Bench } from "./any-second.ts";
import { makeOdooDatabase } from "./odoo-data.ts";
import { type Benchmark, table, timed } from "./table.ts";

/** Size of the database in GB, and its attachments. */
const gigabytes = Number(process.env["BENCH_GIGABYTES"] ?? 1);
const attachments = Math.round(5000 * gigabytes);

/** Evidence that a database is whole: rows of its largest table, and attachments that have their file. */
async function contentOf({ folder, value }: Bench): Promise<string> {
  const rows = await value(
    "shop",
    "SELECT count(*) || ' ' || sum(hashtext(t::text)::bigint) FROM ir_attachment t",
  );
  return `${rows} ${filesBelow(join(folder, "filestore", "shop"))}`;
}

function filesBelow(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .length;
}

async function untilPooled({ folder }: Bench, files: number): Promise<void> {
  for (;;) {
    try {
      if (filesBelow(join(folder, "s.backups", "filestore")) >= files) return;
    } catch {
      // There is none yet, or an unfinished file vanishes.
    }
    await pause(200);
  }
}

/** Everything written is in the repository. */
async function archived({ value }: Bench): Promise<void> {
  await value("postgres", "SELECT pg_logical_emit_message(true, 'bench', 'x')");
  const segment = await value("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
  while ((await value("postgres", "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")) < segment)
    await pause(200);
}

async function wrongClick({ value, odooPg }: Bench): Promise<void> {
  await pause(20);
  const at = await value("shop", "SELECT clock_timestamp()");
  await pause(20);
  await value("shop", "UPDATE ir_attachment SET name = 'wrong'");
  times.click = await timed(
    async () => void (await odooPg("restore", "shop", "--at", at, "--replace", "shop", "--confirm", "shop")),
  );
}

const times = { click: 0, disk: 0, host: 0 };

async function brokenDisk(bench: Bench): Promise<void> {
  const { folder, odooPg } = bench;
  await archived(bench);
  const data = join(folder, "s", "nodes", "pg1", "data");
  process.kill(Number.parseInt(readFileSync(join(data, "postmaster.pid"), "utf8"), 10), "SIGKILL");
  rmSync(data, { recursive: true, force: true });
  times.disk = await timed(async () => {
    await odooPg("down");
    await odooPg("restore", "--cluster-as", data);
    await odooPg("up");
  });
}

async function lostHost(bench: Bench): Promise<void> {
  const { folder, odooPg } = bench;
  await baseMade(bench);
  await archived(bench);
  await odooPg("backup", "copy");
  await odooPg("down");
  for (const name of ["s", "s.archive", "s.backups", "filestore"])
    rmSync(join(folder, name), { recursive: true, force: true });
  mkdirSync(join(folder, "filestore"));
  times.host = await timed(async () => {
    await odooPg("backup", "fetch");
    await odooPg("up");
  });
}

/** The recoveries of docs/recovery.md, each from a real loss, with the commands of that document. */
export const threeLosses: Benchmark = {
  name: "losses",
  title: "Back from a wrong click, a broken disk, a lost host",
  measure: async (program) =>
    await withBench(program, async (bench) => {
      await baseMade(bench);
      const scale = gigabytes / 1.1;
      await makeOdooDatabase(bench.sql, "shop", join(bench.folder, "filestore"), { scale, attachments });
      await untilPooled(bench, filesBelow(join(bench.folder, "filestore", "shop")));
      const before = await contentOf(bench);
      const size = Number(await bench.value("shop", "SELECT pg_database_size('shop')"));
      const lost = [];
      for (const lose of [wrongClick, brokenDisk, lostHost]) {
        await lose(bench);
        if ((await contentOf(bench)) !== before) lost.push(lose.name);
      }
      if (lost.length) throw new Error(`not as before: ${lost.join(", ")}`);
      const row = (what: string, commands: string, time: number): string[] => [
        what,
        commands,
        `${(time / 1000).toFixed(1)} s`,
      ];
      const rows = [
        row("a wrong click", "`restore --at … --replace`", times.click),
        row("a broken disk", "`down`, `restore --cluster-as`, `up`", times.disk),
        row("a lost host", "`backup fetch`, `up`", times.host),
      ];
      return `${table(["", "commands", "until Odoo can work"], rows)}\n\nA database of ${(size / 2 ** 20).toFixed(0)} MB with ${attachments} attachments; rows and files were the same as before each loss. The copy elsewhere was in another folder of the same disk.`;
    }),
};
