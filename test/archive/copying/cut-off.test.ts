import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { build } from "esbuild";
import { beforeAll, expect, test } from "vitest";
import { RepositoryCopier } from "../../../src/archive/copying/copier.ts";
import { FOLDER, PIECE } from "../../../src/archive/copying/protocol.ts";
import type { Source } from "../../../src/archive/copying/source.ts";
import { atEnd } from "../../support/scope.ts";
import { mayHang, mountHangingDisk } from "../../support/small-disk.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import {
  copyAll,
  emptyCopy,
  expire,
  filesOf,
  labelsTold,
  neededFiles,
  newArchiving,
  shown,
  STANZA,
  told,
  type Archiving,
} from "./real-repository.ts";

/** How often a copying program is killed; more by `npm run test:moments`. */
const KILLS = Number(process.env["ODOO_PG_KILLS"] ?? 12);

let primary: Archiving;

beforeAll(async () => {
  primary = await newArchiving();
  await primary.pgbackrest("--type=full", "backup");
  await primary.write(50_000);
  await primary.pgbackrest("--type=diff", "backup");
  await primary.write();
});

/** A program that copies round by round over a slow line, until all is here. */
async function copyingProgram(): Promise<string> {
  const program = join(temporaryFolder(), "copy.mjs");
  const src = join(import.meta.dirname, "../../../src/archive/copying");
  await build({
    stdin: {
      contents: `
        import { RepositoryCopier } from "${src}/copier.ts";
        import { RepositoryService } from "${src}/serve.ts";
        const [from, into] = process.argv.slice(2).map((text) => JSON.parse(text));
        const service = new RepositoryService();
        const source = { name: "db1", async ask(path, body) {
          await new Promise((resolve) => setTimeout(resolve, 2));
          const told = await service.answer(from, path, JSON.stringify(body));
          return "bytes" in told ? told : { status: told.status, bytes: Buffer.from(JSON.stringify(told.body)) };
        } };
        const copier = new RepositoryCopier();
        console.log("begun");
        for (;;) {
          const state = await copier.fetch(source, into, { isPrimary: false });
          if (state.problem || state.whole) { console.log(JSON.stringify(state)); break; }
        }`,
      resolveDir: src,
      loader: "js",
    },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    outfile: program,
    logLevel: "silent",
    banner: {
      js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
    },
  });
  return program;
}

/** What came of a process. */
async function ended(child: ChildProcess): Promise<string> {
  let said = "";
  child.stdout?.on("data", (piece) => (said += String(piece)));
  await new Promise((resolve) => child.once("close", resolve));
  return said;
}

test("a copying program that is killed at any moment leaves no half file under its name, and the next one goes on", async () => {
  const program = await copyingProgram();
  const own = await emptyCopy(primary);
  const from = { repository: primary.repository, stanza: STANZA };
  const run = (): ChildProcess =>
    spawn(process.execPath, [program, JSON.stringify(from), JSON.stringify(own)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  for (let kill = 0; kill < KILLS; kill++) {
    const child = run();
    const end = ended(child);
    await new Promise((resolve) => child.stdout?.once("data", resolve));
    await setTimeout(Math.random() * 300);
    child.kill("SIGKILL");
    await end;
    for (const file of filesOf(own.repository))
      expect([file, statSync(join(own.repository, file)).size]).toEqual([
        file,
        statSync(join(primary.repository, file)).size,
      ]);
    const whole = filesOf(own.repository).filter((file) => file.endsWith("/backup.manifest"));
    if (existsSync(join(own.repository, "backup", STANZA, "backup.info"))) {
      await expire(own);
      expect(await labelsTold(own)).toHaveLength(whole.length);
    }
    // It may have been killed before it made anything.
    const names = existsSync(own.repository) ? readdirSync(own.repository) : [];
    expect(names.filter((name) => name.startsWith("aside"))).toEqual([]);
  }
  expect(await ended(run())).toContain('"problem":null');

  await copyAll(shown(primary.repository), own);

  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  expect(await told(own)).toEqual(await told(primary));
  expect(readdirSync(join(own.repository, "copying.tmp"))).toEqual([]);
});

/** A source whose line is slow, or who does something before an answer. */
function before(source: Source, act: (path: string, body: unknown) => Promise<void>): Source {
  return {
    name: source.name,
    async ask(path, body, limits) {
      await act(path, body);
      limits.signal?.throwIfAborted();
      return await source.ask(path, body, limits);
    },
  };
}

test("over a slow line, where a round ends in the middle of a file, the next one goes on there", async () => {
  const own = await emptyCopy(primary);
  const copier = new RepositoryCopier();
  let pieces = 0;
  const slow = before(shown(primary.repository), async (path) => {
    if (path === PIECE) pieces += 1;
    await setTimeout(10);
  });
  let rounds = 0;
  for (; rounds < 100; rounds++) {
    const state = await copier.fetch(slow, own, { isPrimary: false, signal: AbortSignal.timeout(250) });
    expect(state.problem).toBe(null);
    if (state.stale) await expire(own);
    else if (state.whole) break;
  }
  expect(rounds).toBeGreaterThan(1);
  // None is asked for twice, but for the last one of each round.
  expect(pieces).toBeLessThan(neededFiles(primary.repository).length * 2 + rounds * 2);
  expect(await told(own)).toEqual(await told(primary));
});

test("what expires at the source while it is copied is left out, without a problem", async () => {
  const source = await newArchiving();
  await source.pgbackrest("--type=full", "backup");
  await source.write(1000);
  await source.pgbackrest("--type=full", "backup");
  await source.write();
  const [old = "", newest = ""] = await labelsTold(source);
  const own = await emptyCopy(source);
  let isExpired = false;
  const expiring = before(shown(source.repository), async (path, body) => {
    const copiesOld = path === PIECE && JSON.stringify(body).includes(`"base":"${old}"`);
    if (!copiesOld || isExpired) return;
    isExpired = true;
    await source.pgbackrest(`--set=${old}`, "expire");
  });

  const state = await copyAll(expiring, own);

  expect(isExpired).toBe(true);
  expect(state.bases).toEqual([newest]);
  expect(await told(own)).toMatchObject({ labels: [newest], damaged: false });
  expect(readdirSync(join(own.repository, "copying.tmp"))).toEqual([]);
});

test("two hosts copy at once from one that archives and makes a base backup", async () => {
  const copies = [await emptyCopy(primary), await emptyCopy(primary)];
  const making = primary.write(5000).then(async () => await primary.pgbackrest("--type=diff", "backup"));
  await Promise.all(copies.map(async (own) => await copyAll(shown(primary.repository), own)));
  await making;
  await Promise.all(copies.map(async (own) => await copyAll(shown(primary.repository), own)));
  for (const own of copies) {
    expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
    expect(await told(own)).toEqual(await told(primary));
  }
});

test("a look at what has not changed asks for no folder, and a file that is lost here comes again", async () => {
  const own = await emptyCopy(primary);
  const copier = new RepositoryCopier();
  const asked: string[] = [];
  const counted = before(
    shown(primary.repository),
    async (path) => await Promise.resolve(void asked.push(path)),
  );
  await copyAll(counted, own, { copier });
  // The time of a folder tells only after a while that it stays as it is.
  for (let round = 0; round < 100; round++) {
    asked.length = 0;
    await copier.fetch(counted, own, { isPrimary: false });
    if (!asked.includes(FOLDER)) break;
    await setTimeout(100);
  }
  expect(asked).not.toContain(FOLDER);
  const lost =
    filesOf(own.repository).find((file) => file.endsWith(".zst") && file.startsWith("archive/")) ?? "";
  const bytes = readFileSync(join(own.repository, lost));
  rmSync(join(own.repository, lost));

  await copier.fetch(counted, own, { isPrimary: false });

  expect(readFileSync(join(own.repository, lost)).equals(bytes)).toBe(true);
});

test.runIf(mayHang)(
  "a disk that hangs holds up nothing else, and the copy goes on once it answers",
  async () => {
    const folder = temporaryFolder();
    const disk = mountHangingDisk(folder);
    atEnd(disk.remove);
    const own = { ...(await emptyCopy(primary)), repository: join(folder, "repository") };
    const copier = new RepositoryCopier();
    await copyAll(shown(primary.repository), own, { copier });
    await primary.write();
    disk.hang();

    // It would not return as long as the disk hangs, and neither would anything else of this program.
    const state = await copier.fetch(shown(primary.repository), own, { isPrimary: false });

    expect(state.problem).toMatchObject({ kind: "failed", text: expect.stringContaining("does not answer") });
    disk.goOn();
    await waitFor("the disk to answer", async () => {
      const { problem, whole } = await copier.fetch(shown(primary.repository), own, { isPrimary: false });
      return problem === null && whole;
    });
    expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  },
);
