import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { execa } from "execa";
import { AttachmentsKeeper } from "../src/backup/attachments/keep-attachments.ts";
import { placeOf } from "../src/backup/place.ts";
import { baseMade, withBench, type Bench } from "./any-second.ts";
import { type Benchmark, median, table, timed } from "./table.ts";
import { inFolder } from "./throwaway.ts";

/** Files of a filestore that is scanned. */
const FILES = 200_000;

/** Scans of it, and attachments whose way into the pool is timed. */
const LOOKS = 30;
const WRITTEN = 12;

/** Restores of a moment that are killed: `npm run test:moments` kills fifty, and fifty in other steps. */
const KILLS = Number(process.env["BENCH_KILLS"] ?? 20);

/** Minutes between two copies elsewhere, and the timeout for two of them. */
const COPY_EVERY = 5;
const COPY_TIMEOUT = 2 * COPY_EVERY + 2;

/** When copies are made: for the first time soon. */
function copySchedule(): string {
  return `${(new Date().getUTCMinutes() + 2) % COPY_EVERY}-59/${COPY_EVERY} * * * *`;
}

function nameOf(content: Buffer): string {
  const sha1 = createHash("sha1").update(content).digest("hex");
  return `${sha1.slice(0, 2)}/${sha1}`;
}

/** A scan of a filestore in which nothing is new, compared with `find`. */
async function looks(): Promise<{ ours: number; find: number }> {
  return await inFolder(async (folder) => {
    const shop = join(folder, "filestores", "shop");
    for (let prefix = 0; prefix < 256; prefix += 1)
      mkdirSync(join(shop, prefix.toString(16).padStart(2, "0")), { recursive: true });
    const place = placeOf(join(folder, "backups"));
    for (let number = 0; number < FILES; number += 1) {
      const content = Buffer.from(String(number));
      writeFileSync(join(shop, nameOf(content)), content);
    }
    // The pool has all of them, and Odoo's folders have not changed for a while.
    mkdirSync(place.dir);
    await execa("cp", ["-al", shop, place.pool]);
    const before = Date.now() / 1000 - 3600;
    for (const prefix of readdirSync(shop)) utimesSync(join(shop, prefix), before, before);
    const keeper = new AttachmentsKeeper(place, join(folder, "filestores"), undefined);
    const first = await keeper.look(["shop"]);
    if (first.files !== 0) throw new Error("all was there");
    const ours: number[] = [];
    const find: number[] = [];
    for (let look = 0; look < LOOKS; look += 1) {
      ours.push(await timed(async () => void (await keeper.look(["shop"]))));
      if (look % 10 === 0)
        find.push(
          await timed(
            async () => void (await execa("find", [shop, "-type", "f", "-newermt", "1 minute ago"])),
          ),
        );
    }
    return { ours: median(ours), find: median(find) };
  });
}

/** Maximum time from the write of an attachment to its file in the pool, in milliseconds. */
async function untilPooled({ folder }: Bench): Promise<number> {
  const filestore = join(folder, "filestore", "small");
  let worst = 0;
  for (let number = 0; number < WRITTEN; number += 1) {
    const content = randomBytes(20_000);
    const name = nameOf(content);
    mkdirSync(join(filestore, name.slice(0, 2)), { recursive: true });
    writeFileSync(join(filestore, name), content);
    const written = performance.now();
    while (!existsSync(join(folder, "s.backups", "filestore", name))) await pause(20);
    worst = Math.max(worst, performance.now() - written);
    await pause(Math.random() * 5000);
  }
  return worst;
}

interface Killed {
  readonly touched: number;
  readonly left: number;
  readonly failed: number;
}

/** Kills restores of a moment, each at a random point; after each, the next attempt runs to its end. */
async function kills({ folder, value, sql, odooPg, start }: Bench): Promise<Killed> {
  await value("small", "INSERT INTO marks DEFAULT VALUES");
  await pause(20);
  const at = await value("small", "SELECT clock_timestamp()");
  await pause(20);
  await value("small", "INSERT INTO marks DEFAULT VALUES");
  const marks = await value("small", "SELECT count(*) FROM marks");
  const order = ["restore", "small", "--at", at, "--as", "then"] as const;
  const whole = await timed(async () => void (await odooPg(...order)));
  const found = { touched: 0, left: 0, failed: 0 };
  for (let time = 0; time < KILLS; time += 1) {
    await sql("postgres", 'DROP DATABASE IF EXISTS "then" WITH (FORCE)');
    const running = start(...order);
    await pause(Math.random() * whole);
    running.kill();
    await running.ended;
    if ((await value("small", "SELECT count(*) FROM marks")) !== marks) found.touched += 1;
    await sql("postgres", 'DROP DATABASE IF EXISTS "then" WITH (FORCE)');
    const again = await odooPg(...order).then(
      async () => await value("then", "SELECT count(*) FROM marks"),
      () => "",
    );
    if (Number(again) !== Number(marks) - 1) found.failed += 1;
    if (await somethingLeft(folder, value)) found.left += 1;
  }
  await sql("postgres", 'DROP DATABASE IF EXISTS "then" WITH (FORCE)');
  return found;
}

async function somethingLeft(folder: string, value: Bench["value"]): Promise<boolean> {
  const archive = join(folder, "s", "archive");
  const kept = readFileSync(join(archive, "kept-moment.json"), "utf8");
  const moments = readdirSync(join(archive, "moments")).filter((name) => !kept.includes(`"${name}"`));
  const made = await value("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'odoo\\_pg\\_%'");
  const files = readdirSync(join(folder, "filestore")).filter((name) => name.startsWith("."));
  return moments.length + files.length + Number(made) > 0 || existsSync(join(archive, "copies"));
}

/** Maximum age of the contents of a copy elsewhere, in milliseconds, from one copy of the schedule to the next. */
async function ageElsewhere({ folder, value }: Bench): Promise<number> {
  const filestore = join(folder, "filestore", "small");
  const end = performance.now() + COPY_TIMEOUT * 60_000;
  const seen = new Set<string>();
  let worst = 0;
  for (let second = 0; seen.size < 2; second += 1) {
    if (performance.now() > end) throw new Error("no two copies were made elsewhere");
    await value("small", "INSERT INTO ticks DEFAULT VALUES");
    if (second % 10 === 0) {
      const content = randomBytes(20_000);
      mkdirSync(join(filestore, nameOf(content).slice(0, 2)), { recursive: true });
      writeFileSync(join(filestore, nameOf(content)), content);
    }
    const status = join(folder, "s", "offsite", "disk.json");
    const [, copied = ""] =
      /"copied_at": "([^"]+)"/.exec(existsSync(status) ? readFileSync(status, "utf8") : "") ?? [];
    if (copied !== "") {
      // Until the next copy is recorded, the contents are as old as the one before.
      worst = Math.max(
        worst,
        Date.now() - Date.parse(seen.has(copied) ? copied : ([...seen].at(-1) ?? copied)),
      );
      seen.add(copied);
    }
    await pause(900);
  }
  return worst;
}

const milliseconds = (time: number): string => `${time.toFixed(1)} ms`;
const seconds = (time: number): string => `${(time / 1000).toFixed(1)} s`;

/** How soon written data is kept, and what a kill leaves behind. */
export const whatIsKept: Benchmark = {
  name: "kept",
  title: "How soon data is kept for any second, and what a kill leaves",
  measure: async (program) => {
    const { ours, find } = await looks();
    const { pooled, killed, age } = await withBench(
      program,
      async (bench) => {
        await baseMade(bench);
        await bench.sql("postgres", "CREATE DATABASE small");
        await bench.sql(
          "small",
          "CREATE TABLE marks (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())",
        );
        await bench.sql("small", "CREATE TABLE ticks (at timestamptz DEFAULT clock_timestamp())");
        mkdirSync(join(bench.folder, "filestore", "small"));
        const soon = await untilPooled(bench);
        // Copies wait for their schedule: restores are killed meanwhile.
        const [after, worst] = await Promise.all([kills(bench), ageElsewhere(bench)]);
        return { pooled: soon, killed: after, age: worst };
      },
      copySchedule(),
    );
    return table(
      ["", "odoo-pg", "the other side", "target"],
      [
        [
          `a scan of ${FILES} files, none of them new, against \`find -newermt\``,
          milliseconds(ours),
          milliseconds(find),
          "5 ms",
        ],
        [
          `the slowest of ${WRITTEN} attachments, from its write until it is in the pool`,
          seconds(pooled),
          "",
          "10 s",
        ],
        [
          `age of the copy elsewhere, made every ${COPY_EVERY} minutes, with restores meanwhile`,
          seconds(age),
          "",
          "6 min",
        ],
        [
          `${KILLS} killed restores of a moment: live data touched, files left over, next try failed`,
          `${killed.touched}, ${killed.left}, ${killed.failed}`,
          "",
          "0, 0, 0",
        ],
      ],
    );
  },
};
