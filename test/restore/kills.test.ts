import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../src/cluster/backups/window.ts";
import { archiveStatusSchema } from "../../src/model/backups/archive-status.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { killAllUsing, killWithChildren } from "../support/kill.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { processesNaming, processesUsing } from "../support/processes.ts";
import { startProgram, type Ran, type Running } from "../support/program.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

// Every step of any second back is killed at a moment by chance: the program alone, it with all that it has started, or
// everything of the cluster. Each time nothing of it goes on, the live database is as it was, and the next try works.

/** How often each step is killed; more by `npm run test:moments`. */
const KILLS = Math.max(2, Math.round(Number(process.env["ODOO_PG_KILLS"] ?? 10) / 5));

/** Milliseconds for one try on a busy machine. */
const ONE = 40_000;

let cluster: ThrowawayCluster;
let filestore: string;
let elsewhere: string;
let files: readonly string[];

const ROWS = 5;
const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.array(z.unknown()),
  proven: z.unknown(),
});

function archived(): z.output<typeof archiveStatusSchema> {
  return archiveStatusSchema.parse(
    JSON.parse(readFileSync(join(cluster.stateDir, "archive-status.json"), "utf8")),
  );
}

async function host(): Promise<{ cluster: ThrowawayCluster; filestore: string }> {
  const made = await throwawayCluster({
    nodes: 1,
    config: {
      backup: {
        schedule: "0 0 1 1 *",
        drill_schedule: "off",
        any_second: { enabled: true, full_schedule: "0 0 1 1 *", diff_schedule: "off" },
        offsite: [
          {
            name: "nas",
            repository: join(elsewhere, "restic"),
            passphrase_file: join(elsewhere, "passphrase"),
            schedule: "off",
          },
        ],
      },
    },
  });
  const folder = join(made.folder, "filestore");
  mkdirSync(folder, { mode: 0o755 });
  made.configure({ odoo: { filestore: folder } });
  return { cluster: made, filestore: folder };
}

/** Marks of the database, and its attachments that have their file. */
async function contentOf(at: ThrowawayCluster, folder: string, database: string): Promise<unknown> {
  const session = await at.onPrimary("postgres", database);
  const [row] = await session.rows("SELECT count(*)::int AS marks FROM marks");
  await session.close();
  return [row?.["marks"], files.filter((name) => existsSync(join(folder, database, name))).length];
}

/** What somebody may find who looks for what is left. */
function leftOvers(at: ThrowawayCluster, folder: string): string[] {
  const names = (...place: readonly string[]): string[] =>
    existsSync(join(...place)) ? readdirSync(join(...place)) : [];
  const archive = join(at.stateDir, "archive");
  const keptFile = join(archive, "kept-moment.json");
  const kept = existsSync(keptFile) ? readFileSync(keptFile, "utf8") : "";
  return [
    ...names(archive, "moments").filter((name) => !kept.includes(`"${name}"`)),
    ...names(archive).filter((name) => name === "copies" || name.includes(".lock")),
    ...names(at.stateDir, "offsite").filter((name) => name.includes(".lock")),
    ...names(at.stateDir, "nodes", "pg1").filter((name) => name.startsWith("data.")),
    ...names(at.folder).filter((name) => name.includes(".fetched") || name.includes(".recover")),
    ...names(folder).filter((name) => name.startsWith(".")),
    ...names(process.env["TMPDIR"] ?? ""),
  ];
}

/** What a command runs for us, unless the server runs it: archiving goes on. */
function atWork(): readonly string[] {
  return processesNaming(cluster.folder)
    .map(({ command }) => command)
    .filter((command) => /restic|pgbackrest .* (?:backup|restore|expire)$|pg_dump/.test(command));
}

const KINDS = ["program", "with what it started", "everything"] as const;

async function kill(running: Running, kind: (typeof KINDS)[number]): Promise<void> {
  if (kind === "program") running.signal("SIGKILL");
  else if (kind === "everything") {
    killWithChildren(running.pid);
    await killAllUsing(cluster.folder);
  } else killWithChildren(running.pid);
  await running.ended;
  await waitFor("nothing of it to go on", () => atWork().length === 0, { timeout: 20_000 });
  if (kind === "everything") await cluster.up();
}

/** Kills a step again and again. @param check is done after each kill, and after a try that is let be */
async function killOften(
  begin: () => Running,
  { check, reset }: { check: () => Promise<void>; reset: () => Promise<void> },
): Promise<void> {
  const once = async (): Promise<Ran> => {
    await reset();
    return await begin().ended;
  };
  const begun = Date.now();
  expect(await once()).toMatchObject({ exitCode: 0 });
  const whole = Date.now() - begun;
  for (let time = 0; time < KILLS; time++) {
    await reset();
    const running = begin();
    await setTimeout(Math.random() * whole);
    await kill(running, KINDS[time % KINDS.length] ?? "program");
    expect(await contentOf(cluster, filestore, "shop")).toEqual([ROWS, files.length]);
    const again = await once();
    expect([again.exitCode, again.stderr]).toEqual([0, expect.any(String)]);
    await check();
    expect(leftOvers(cluster, filestore)).toEqual([]);
  }
}

beforeAll(async () => {
  elsewhere = temporaryFolder();
  writeFileSync(join(elsewhere, "passphrase"), "of a test\n", { mode: 0o600 });
  ({ cluster, filestore } = await host());
  await cluster.up();
  const shop = await makeOdooDatabase({
    superuser: cluster.superuser(),
    database: "shop",
    filestore,
    attachments: 200,
    bytes: 20_000,
  });
  ({ files } = shop);
  const session = await cluster.onPrimary("postgres", "shop");
  await session.rows("CREATE TABLE marks (id serial PRIMARY KEY)");
  for (let row = 0; row < ROWS; row++) await session.rows("INSERT INTO marks DEFAULT VALUES");
  await session.close();
  await waitFor("the window to begin", async () => {
    const { from } = windowDocument.parse(await cluster.json(["backup", "window"]));
    return from !== null && Date.parse(from) < Date.now() - 1000;
  });
  await waitFor("the attachments to be kept", () => {
    const pool = join(`${cluster.stateDir}.backups`, "filestore");
    return files.every((name) => existsSync(join(pool, name)));
  });
});

describe("killed at any moment,", () => {
  test(
    "a base backup is in nobody's way, and what expires goes with the next one",
    async () => {
      const stanza = join(`${cluster.stateDir}.archive`, "backup", "test");
      await killOften(
        () =>
          startProgram(["scheduled-backup", "--state-dir", cluster.stateDir, "--kind", "full"], {
            home: cluster.folder,
          }),
        {
          // One that is due is made by the agent, too: one at a time.
          reset: async () =>
            await waitFor("no base backup", () => processesNaming("scheduled-backup").length === 0),
          check: async () => {
            const { bases, error } = archived();
            expect(error).toBeNull();
            const folders = readdirSync(stanza).filter((name) => /^\d{8}-/.test(name));
            expect(folders.toSorted()).toEqual(bases.map(({ label }) => label).toSorted());
          },
        },
      );
    },
    120_000 + KILLS * ONE,
  );

  test(
    "a copy elsewhere leaves no lock there, and no copy that nobody has looked through",
    async () => {
      const repository = join(elsewhere, "restic");
      await killOften(() => cluster.start(["backup", "copy"]), {
        reset: async () => {
          // Something new, so that it takes a while.
          writeFileSync(join(`${cluster.stateDir}.backups`, "new"), randomBytes(20_000_000));
        },
        check: async () => {
          expect(readdirSync(join(repository, "locks"))).toEqual([]);
          const { copies } = await cluster.status();
          expect(copies).toEqual([{ name: "nas", copied_at: expect.any(String), error: null }]);
        },
      });
      // One of the first try, and one of each that followed a kill, or a kill that came too late.
      const snapshots = readdirSync(join(repository, "snapshots")).length;
      expect(snapshots).toBeGreaterThan(KILLS);
      expect(snapshots).toBeLessThanOrEqual(1 + 2 * KILLS);
    },
    120_000 + KILLS * ONE,
  );

  test(
    "a proof leaves no scratch instance",
    async () => {
      await killOften(() => cluster.start(["backup", "verify", "--any-second"]), {
        reset: async () => {},
        check: async () => {
          expect(processesUsing(join(cluster.stateDir, "archive", "moments"))).toEqual([]);
        },
      });
    },
    120_000 + KILLS * ONE,
  );

  test(
    "a recovery of the whole cluster beside the live one never takes what is half for whole",
    async () => {
      const target = join(cluster.folder, "whole");
      await killOften(() => cluster.start(["restore", "--cluster-as", target]), {
        reset: async () => {
          // One that has its name is whole: the kill came too late.
          if (existsSync(target)) expect(existsSync(join(target, "PG_VERSION"))).toBe(true);
          rmSync(target, { recursive: true, force: true });
        },
        check: async () => {
          expect(existsSync(join(target, "backup_label"))).toBe(false);
          expect(existsSync(join(target, "recovery.signal"))).toBe(false);
          expect(existsSync(join(target, "postmaster.pid"))).toBe(false);
        },
      });
      rmSync(target, { recursive: true, force: true });
    },
    120_000 + KILLS * ONE,
  );

  test(
    "a fetch goes on where it was, on a host that has nothing else",
    async () => {
      expect((await cluster.run(["backup", "copy"])).exitCode).toBe(0);
      const fetch = ["backup", "fetch", "--from", "nas"];
      let whole = 8000;
      for (let left = KILLS; left > 0;) {
        const other = await host();
        for (;;) {
          const begun = Date.now();
          const running = other.cluster.start(fetch);
          if (left-- > 0) {
            await setTimeout(Math.random() * whole);
            if (left % 2 === 0) running.signal("SIGKILL");
            else killWithChildren(running.pid);
          }
          const ran = await running.ended;
          await waitFor("nothing of it to go on", () => processesUsing(other.cluster.folder).length === 0, {
            timeout: 20_000,
          });
          if (ran.exitCode === 0) {
            whole = Date.now() - begun;
            break;
          }
          // Nothing but the kill keeps it from its end.
          if (ran.exitCode < 128) expect([ran.exitCode, ran.stderr]).toEqual([0, ""]);
          if (existsSync(join(other.cluster.stateDir, "state.json"))) break;
        }
        expect(leftOvers(other.cluster, other.filestore)).toEqual([]);
        await other.cluster.up();
        expect(await contentOf(other.cluster, other.filestore, "shop")).toEqual([ROWS, files.length]);
        await other.cluster.down();
        await waitFor("its base backup to be over", () => processesNaming(other.cluster.folder).length === 0);
      }
    },
    240_000 + 2 * KILLS * ONE,
  );
});
