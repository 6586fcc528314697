import { execa } from "execa";
import {
  type Dirent,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { makeOdooDatabase, type RunSql } from "./odoo-data.ts";
import { type Benchmark, median, table, timed } from "./table.ts";
import { freePorts, inFolder } from "./throwaway.ts";

/** Size of each of the three databases in GB, and attachments of the first. */
const gigabytes = Number(process.env["BENCH_GIGABYTES"] ?? 1);
const attachments = Math.round(5000 * gigabytes);

/** Restored seconds that are compared with what was committed. */
const SECONDS = Number(process.env["BENCH_SECONDS"] ?? 20);

/** Seconds of writes on each side, and times. */
const WRITES = { seconds: 10, times: 4 };

/** Milliseconds of a light, steady load while the age of the repository's contents is measured. */
const STEADY = 75_000;

export interface Bench {
  readonly folder: string;
  readonly sql: RunSql;
  readonly value: (database: string, text: string) => Promise<string>;
  readonly odooPg: (...args: readonly string[]) => Promise<string>;
  /** Starts odoo-pg, as `odooPg`, without waiting for it to end. */
  readonly start: (...args: readonly string[]) => {
    readonly kill: () => void;
    readonly ended: Promise<unknown>;
  };
  readonly tool: (
    name: string,
    role: "postgres" | "replicator",
    ...args: readonly string[]
  ) => Promise<string>;
  /** Turns any second on or off. */
  readonly archiving: (enabled: boolean) => Promise<void>;
  /** As `odooPg`; @returns milliseconds until another database was there as of a moment: base backup and WAL. */
  readonly recovery: (...args: readonly string[]) => Promise<number>;
}

/** Disk space of the files below a folder: files of databases that were not recovered have no blocks. */
function bytesBelow(folder: string): number {
  let sum = 0;
  for (const entry of namesBelow(folder)) {
    const file = join(entry.parentPath, entry.name);
    // Files vanish while they are counted.
    if (entry.isFile()) sum += (statSync(file, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  }
  return sum;
}

function namesBelow(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch {
    return [];
  }
}

const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MB`;
const ratio = (ours: number, theirs: number): string => (ours / theirs).toFixed(2);
const pause = async (milliseconds: number): Promise<void> =>
  await new Promise((resolve) => void setTimeout(resolve, milliseconds));

/** @param schedule of copies elsewhere */
export async function withBench<T>(
  program: string,
  use: (bench: Bench) => Promise<T>,
  schedule = "off",
): Promise<T> {
  return await inFolder(async (folder) => {
    const [port = 0, read = 0, write = 0] = await freePorts(3);
    const configuration = join(folder, "odoo-pg.yaml");
    const passphrase = join(folder, "passphrase");
    writeFileSync(passphrase, "of the benchmark\n", { mode: 0o600 });
    const configure = (enabled: boolean): void =>
      writeFileSync(
        configuration,
        `cluster: bench
state_dir: ${folder}/s
nodes: [{ name: pg1, port: ${port} }]
endpoints: { read: { port: ${read} }, write: { port: ${write} } }
console: { enabled: false }
odoo: { filestore: ${folder}/filestore }
backup:
  enabled: false
  any_second: { enabled: ${enabled}, full_schedule: "0 0 1 1 *", diff_schedule: "off" }
  offsite: [{ name: disk, repository: ${folder}/elsewhere, passphrase_file: ${passphrase}, schedule: "${schedule}" }]
`,
      );
    configure(true);
    mkdirSync(join(folder, "filestore"));
    const odooPg = async (...args: readonly string[]): Promise<string> =>
      (await execa(process.execPath, [program, ...args, "--config", configuration], { stdin: "ignore" }))
        .stdout;
    const start: Bench["start"] = (...args) => {
      const child = execa(process.execPath, [program, ...args, "--config", configuration], {
        stdin: "ignore",
        reject: false,
      });
      return { kill: () => void child.kill("SIGKILL"), ended: child };
    };
    const recovery: Bench["recovery"] = async (...args) => {
      const running = execa(process.execPath, [program, ...args, "--config", configuration], {
        stdin: "ignore",
        stdout: "ignore",
      });
      let [begun, replaying, ended] = [0, false, 0];
      for await (const line of running.iterable({ from: "stderr" })) {
        if (line.includes("write base backup")) begun = performance.now();
        else if (line.includes("replay WAL")) replaying = true;
        else if (replaying && ended === 0) ended = performance.now();
      }
      await running;
      return ended - begun;
    };
    const tool: Bench["tool"] = async (name, role, ...args) => {
      const PGPASSWORD = readFileSync(`${folder}/s/secrets/${role}.password`, "utf8").trim();
      const at = ["-h", "127.0.0.1", "-p", String(port), "-U", role];
      return (await execa(name, [...at, ...args], { env: { PGPASSWORD }, stdin: "ignore" })).stdout;
    };
    const psql = ["-q", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1"];
    const sql: RunSql = async (database, text) => {
      const file = join(folder, "statements.sql");
      writeFileSync(file, text);
      await tool("psql", "postgres", ...psql, "-o", "/dev/null", "-d", database, "-f", file);
    };
    const value: Bench["value"] = async (database, text) =>
      (await tool("psql", "postgres", ...psql, "-d", database, "-c", text)).trim();
    const archiving: Bench["archiving"] = async (enabled) => {
      configure(enabled);
      await odooPg("up");
    };
    await odooPg("up");
    try {
      return await use({ folder, sql, value, odooPg, start, tool, archiving, recovery });
    } finally {
      await odooPg("down");
    }
  });
}

const base = async (program: string, { folder }: Bench): Promise<void> =>
  void (await execa(
    process.execPath,
    [program, "scheduled-backup", "--state-dir", `${folder}/s`, "--kind", "full"],
    { stdin: "ignore" },
  ));

/** The newest value under a name in a record of odoo-pg; empty where there is none. */
function newestIn(file: string, name: string): string {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  return (
    [...text.matchAll(new RegExp(`"${name}": "([^"]+)"`, "g"))]
      .map(([, at = ""]) => at)
      .sort()
      .at(-1) ?? ""
  );
}

/**
 * Waits for the base backup that the agent makes when WAL is taken again: up to a minute later, where it has just made
 * one. Afterwards none is in progress.
 */
export async function baseMade({ folder }: Bench): Promise<void> {
  for (;;) {
    const since = newestIn(`${folder}/s/archive/archiving.json`, "since");
    const made = newestIn(`${folder}/s/archive-status.json`, "started_at");
    const { exitCode } = await execa("pgrep", ["-f", `scheduled-backup --state-dir ${folder}/s`], {
      reject: false,
    });
    // The start of a base backup is recorded in whole seconds.
    if (exitCode !== 0 && since !== "" && made.slice(0, 19) >= since.slice(0, 19)) return;
    await pause(500);
  }
}

/** Maximum bytes below a folder during an action. */
async function peakOf<T>(folder: string, act: () => Promise<T>): Promise<{ result: T; peak: number }> {
  let peak = 0;
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      peak = Math.max(peak, bytesBelow(folder));
      await pause(500);
    }
  })();
  try {
    return { result: await act(), peak: Math.max(peak, bytesBelow(folder)) };
  } finally {
    over.abort();
    await watching;
  }
}

/** Greatest age of the newest file of the archive, in milliseconds, while something is committed every second. */
async function ageUnderLoad({ folder, value }: Bench): Promise<number> {
  const archive = `${folder}/s.archive/archive`;
  const end = performance.now() + STEADY;
  let worst = 0;
  let seen = false;
  while (performance.now() < end) {
    await value("small", "INSERT INTO marks DEFAULT VALUES");
    const newest = Math.max(
      ...readdirSync(archive, { recursive: true, withFileTypes: true })
        .filter((entry) => /^[0-9A-F]{24}-/.test(entry.name))
        .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs),
    );
    const age = Date.now() - newest;
    // Files from before the load do not count.
    if (age < 5000) seen = true;
    if (seen) worst = Math.max(worst, age);
    await pause(900);
  }
  return worst;
}

/** Transactions of pgbench with archiving and without, in turns. */
async function writes(bench: Bench): Promise<{ on: number; off: number }> {
  const { sql, tool, archiving } = bench;
  await sql("postgres", "CREATE DATABASE bench");
  await tool("pgbench", "postgres", "-i", "-q", "-s", "10", "bench");
  const once = async (): Promise<number> => {
    await sql("bench", "CHECKPOINT");
    const said = await tool(
      "pgbench",
      "postgres",
      "-n",
      "-c",
      "4",
      "-j",
      "2",
      "-T",
      String(WRITES.seconds),
      "bench",
    );
    return Number(/tps = ([\d.]+)/.exec(said)?.[1]);
  };
  const [on, off]: [number[], number[]] = [[], []];
  const without = async (): Promise<void> => {
    await archiving(false);
    off.push(await once());
  };
  const withIt = async (): Promise<void> => {
    await archiving(true);
    await baseMade(bench);
    on.push(await once());
  };
  // Tables grow from one run to the next: neither side is always the later one.
  for (let time = 0; time < WRITES.times; time += 1)
    for (const side of time % 2 === 0 ? [without, withIt] : [withIt, without]) await side();
  await archiving(true);
  await baseMade(bench);
  return { on: median(on), off: median(off) };
}

/** Restores random seconds while marks are committed five times a second; counts missing and surplus marks. */
async function exactness(program: string, bench: Bench): Promise<{ missing: number; more: number }> {
  const { value, sql, odooPg } = bench;
  await sql("postgres", "CREATE DATABASE small");
  await sql("small", "CREATE TABLE marks (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())");
  await base(program, bench);
  const over = new AbortController();
  const writing = (async () => {
    while (!over.signal.aborted) {
      await value("small", "INSERT INTO marks DEFAULT VALUES");
      await pause(200);
    }
  })();
  const found = { missing: 0, more: 0 };
  try {
    await pause(5000);
    for (let run = 0; run < SECONDS; run += 1) {
      // Other work on the same server meanwhile.
      await sql("small", `CREATE TABLE other_${run} AS SELECT generate_series(1, 1000) AS n; VACUUM marks`);
      // Between two marks, so that it is certain which of them was committed by then.
      const [moment = "", wanted = ""] = (
        await value(
          "small",
          `SELECT at + (next - at) / 2, id FROM (SELECT at, lead(at) OVER w AS next, row_number() OVER w AS id FROM marks
             WINDOW w AS (ORDER BY at)) AS pairs WHERE next - at > '100 ms' ORDER BY random() LIMIT 1`,
        )
      ).split("|");
      await odooPg("restore", "small", "--at", moment, "--as", "then");
      const own = await value("then", "SELECT count(*) FROM marks");
      found.missing += Math.max(0, Number(wanted) - Number(own));
      found.more += Math.max(0, Number(own) - Number(wanted));
      await sql("postgres", 'DROP DATABASE "then" WITH (FORCE)');
    }
  } finally {
    over.abort();
    await writing;
  }
  return found;
}

/** Any second back, and copies elsewhere, with the targets that they must reach. */
export const anySecond: Benchmark = {
  name: "any-second",
  title: "Any second back, and a copy elsewhere",
  measure: async (program) =>
    await withBench(program, async (bench) => {
      // While the cluster is small: each of the base backups that these need is quick.
      await baseMade(bench);
      const marks = await exactness(program, bench);
      const age = await ageUnderLoad(bench);
      const { on, off } = await writes(bench);
      const { full, plain, moment, logical, first, second, partial, all, copies, size } = await sizes(
        program,
        bench,
      );
      const rows = [
        [
          "`restore --at` of one of three databases, against `restore` of its backup",
          seconds(moment),
          seconds(logical),
          ratio(moment, logical),
          "1.6",
        ],
        [
          "full base backup, against pg_basebackup with zstd",
          seconds(full),
          seconds(plain),
          ratio(full, plain),
          "1.0",
        ],
        [
          "one database recovered, against the whole cluster",
          megabytes(partial),
          megabytes(all),
          ratio(partial, all),
          "0.5",
        ],
        [
          "a second recovery, against the first",
          seconds(second),
          seconds(first),
          ratio(second, first),
          "0.4",
        ],
        [
          "writes with archiving, against without (transactions a second)",
          on.toFixed(0),
          off.toFixed(0),
          ratio(on, off),
          "at least 0.95",
        ],
        [
          `${SECONDS} random seconds: rows missing, rows too many`,
          `${marks.missing}, ${marks.more}`,
          "",
          "",
          "0, 0",
        ],
        ["age of the repository, with one commit a second", seconds(age), "", "", "65 s"],
        [
          "copy elsewhere without changes, against the first",
          seconds(copies.again),
          seconds(copies.first),
          ratio(copies.again, copies.first),
          "0.35",
        ],
      ];
      return `${table(["", "odoo-pg", "the other side", "ratio", "target"], rows)}\n\nThree databases of ${size}, the first with ${attachments} attachments.`;
    }),
};

/** The figures that depend on the size of the databases. */
async function sizes(program: string, bench: Bench) {
  const { folder, sql, value, odooPg, tool, recovery } = bench;
  const scale = gigabytes / 1.1;
  await makeOdooDatabase(sql, "one", join(folder, "filestore"), { scale, attachments });
  for (const name of ["two", "three"]) await sql("postgres", `CREATE DATABASE ${name} TEMPLATE one`);
  await sql("postgres", "DROP DATABASE bench");
  await odooPg("backup", "create", "one");

  const listed = await odooPg("backup", "list", "--database", "one", "--json");
  const id = /"id": "([^"]+)"/.exec(listed)?.[1] ?? "";
  const [ours, theirs]: [number[], number[]] = [[], []];
  for (let time = 0; time < BASES; time += 1) {
    ours.push(await timed(async () => await base(program, bench)));
    const target = join(folder, "basebackup");
    theirs.push(
      await timed(async () => {
        const packed = ["-Ft", "--compress=client-zstd:3", "-X", "none", "-c", "fast"];
        await tool("pg_basebackup", "replicator", "-D", target, ...packed);
      }),
    );
    rmSync(target, { recursive: true });
  }

  const [early, late] = [await secondOf(bench), await secondOf(bench)];
  const [logical, moment, first, second, partial]: [number[], number[], number[], number[], number[]] = [
    [],
    [],
    [],
    [],
    [],
  ];
  const moments = `${folder}/s/archive/moments`;
  const gone = async (name: string): Promise<void> => {
    await sql("postgres", `DROP DATABASE ${name}`);
    rmSync(join(folder, "filestore", name), { recursive: true, force: true });
  };
  for (let time = 0; time < RESTORES; time += 1) {
    logical.push(await timed(async () => void (await odooPg("restore", id, "--as", "from_backup"))));
    await gone("from_backup");
    // The first of a day has no predecessor to build on.
    rmSync(moments, { recursive: true, force: true });
    const { peak } = await peakOf(moments, async () => {
      moment.push(
        await timed(
          async () => void first.push(await recovery("restore", "one", "--at", early, "--as", "early")),
        ),
      );
    });
    partial.push(peak);
    await gone("early");
    second.push(await recovery("restore", "one", "--at", late, "--as", "late"));
    await gone("late");
  }
  const whole = join(folder, "whole");
  await odooPg("restore", "--at", early, "--cluster-as", whole);
  const all = bytesBelow(whole);
  rmSync(whole, { recursive: true });

  const copy = async (): Promise<number> => await timed(async () => void (await odooPg("backup", "copy")));
  const copies = { first: await copy(), again: await copy() };
  const size = megabytes(Number(await value("one", "SELECT pg_database_size('one')")));
  return {
    full: median(ours),
    plain: median(theirs),
    moment: median(moment),
    logical: median(logical),
    first: median(first),
    second: median(second),
    partial: Math.max(...partial),
    all,
    copies,
    size,
  };
}

/** Base backups of each kind, in turns. */
const BASES = 2;

/** Restores of each kind, in turns. */
const RESTORES = 3;

/** A moment between two commits. */
async function secondOf({ value }: Bench): Promise<string> {
  await value("small", "INSERT INTO marks DEFAULT VALUES");
  await pause(1100);
  const at = `${new Date().toISOString().slice(0, 19).replace("T", " ")}Z`;
  await pause(1100);
  await value("small", "INSERT INTO marks DEFAULT VALUES");
  return at;
}
