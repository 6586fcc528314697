import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { RepositoryCopier } from "../../../src/archive/copying/copier.ts";
import type { OwnRepository } from "../../../src/archive/copying/own.ts";
import { limitsOfCopy, limitsOfPrimary } from "../../../src/archive/copying/limits.ts";
import { FOLDER, LOOK, lookSchema, PIECE, walAnswerSchema } from "../../../src/archive/copying/protocol.ts";
import { RepositoryService } from "../../../src/archive/copying/serve.ts";
import type { Source } from "../../../src/archive/copying/source.ts";
import { mayMount, smallDisk } from "../../support/small-disk.ts";
import {
  copyAll,
  emptyCopy,
  filesOf,
  neededFiles,
  newArchiving,
  plant,
  shown,
  STANZA,
  told,
  type Archiving,
  writtenArchiving,
} from "./real-repository.ts";

let primary: Archiving;

beforeAll(async () => {
  primary = await writtenArchiving();
});

async function round(source: Source, own: OwnRepository, isPrimary = false) {
  return await new RepositoryCopier().fetch(source, own, { isPrimary });
}

test("a repository of another cluster is put aside, not removed, and the right one takes its place", async () => {
  const stranger = await newArchiving();
  await stranger.write();
  const own = await emptyCopy(primary);
  await copyAll(shown(stranger.repository), { ...own, systemIdentifier: stranger.systemIdentifier });
  const before = filesOf(own.repository);
  expect(before.length).toBeGreaterThan(0);

  const asPrimary = await round(shown(primary.repository), own, true);
  expect(asPrimary.problem?.kind).toBe("foreign");
  expect(filesOf(own.repository)).toEqual(before);

  const state = await round(shown(primary.repository), own);

  expect(state.problem).toBe(null);
  expect(filesOf(state.aside ?? "")).toEqual(before);
  await copyAll(shown(primary.repository), own);
  expect(await told(own)).toEqual(await told(primary));
  // The source is never believed that it is of this cluster.
  const wrong = await round(shown(stranger.repository), own);
  expect(wrong).toMatchObject({ problem: { kind: "foreign" }, aside: undefined });
  expect(await told(own)).toEqual(await told(primary));
});

test("this cluster's own repository stays, whatever a source says that it was before", async () => {
  const own = await emptyCopy(primary);
  await copyAll(shown(primary.repository), own);
  const before = filesOf(own.repository);
  const upgraded = lying((path, body, said) =>
    path === PIECE && JSON.stringify(body).includes("info") && said instanceof Buffer
      ? Buffer.from(
          said
            .toString("utf8")
            .replaceAll(/^db-id=1$/gm, "db-id=2")
            .replaceAll(
              /^1=(\{.*"db-(?:system-)?id":)\d+(.*)$/gm,
              (line: string, start: string, end: string) => `1=${start}99${end}\n2=${line.slice(2)}`,
            ),
        )
      : said,
  );
  const state = await round(upgraded, own);
  expect(state).toMatchObject({ problem: { kind: "foreign" }, aside: undefined });
  expect(state.problem?.text).toMatch(/does not fit the one that is here/);
  expect(filesOf(own.repository)).toEqual(before);
  expect(await told(own)).toEqual(await told(primary));
});

test("WAL of the future is not taken, and what is true is", async () => {
  const own = await emptyCopy(primary);
  const A = "a".repeat(40);
  const planting = lying((path, body, said) => {
    const text = JSON.stringify(body);
    if (path === LOOK) {
      const look = lookSchema.parse(said);
      const [id = ""] = look.folders.map(({ folder }) => folder.split("/")[0] ?? "");
      return { ...look, folders: [...look.folders, { folder: `${id}/0000000200000000`, mark: "1" }] };
    }
    if (path !== FOLDER || isBase(body)) return said;
    const { files } = walAnswerSchema.parse(said);
    const more = text.includes("/")
      ? [
          [`0000000100000000000000FE-${A}.zst`, 10, 1],
          [`0000000100000000000000EF-${A}.zst`, 0, 1],
        ]
      : [["0000000F.history", 10, 1]];
    return { mark: "1", files: [...files, ...more] };
  });
  const limits = { ...limitsOfCopy(1, 0n, 16 * 1024 * 1024), end: 0xf0000000n };
  const copier = new RepositoryCopier();
  const state = await copier.fetch(planting, own, { isPrimary: false, limits });

  expect(state.problem?.kind).toBe("refused");
  expect(state.problem?.text).toMatch(/0000000100000000000000EF with a size/);
  expect([state.walWhole, state.whole]).toEqual([false, false]);
  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  // A new primary takes what it needs, and no more than that.
  const as = await emptyCopy(primary);
  const history = "1\t0/F0000000\tno recovery target specified\n";
  const taken = await copier.fetch(planting, as, {
    isPrimary: true,
    limits: limitsOfPrimary(2, history, 16 * 1024 * 1024),
    bases: new Set(),
  });
  expect(taken).toMatchObject({ problem: null, walWhole: true, bases: [] });
  expect(filesOf(as.repository).filter((file) => /0F\.history|FE-|EF-|0000000200000000/.test(file))).toEqual(
    [],
  );
});

test("a round ends, however many short pieces a source gives", async () => {
  const own = await emptyCopy(primary);
  const short = lying((path, body, said) =>
    path === PIECE && !JSON.stringify(body).includes("info") && said instanceof Buffer
      ? said.subarray(0, 1)
      : said,
  );
  expect((await round(short, own)).problem?.text).toMatch(/not as long as it was said to be/);
  const ended = await new RepositoryCopier().fetch(shown(primary.repository), own, {
    isPrimary: false,
    signal: AbortSignal.abort(),
  });
  expect(ended).toMatchObject({ problem: null, walWhole: false, whole: false });
});

/** A source that answers something else to one question. */
function lying(answer: (path: string, body: unknown, told: unknown) => unknown): Source {
  const honest = shown(primary.repository, "db1");
  return {
    name: "db1",
    async ask(path, body, limits) {
      const { status, bytes } = await honest.ask(path, body, limits);
      const told: unknown = path === PIECE ? bytes : JSON.parse(bytes.toString("utf8"));
      const said = answer(path, body, told);
      return { status, bytes: said instanceof Buffer ? said : Buffer.from(JSON.stringify(said)) };
    },
  };
}

const isBase = (body: unknown): boolean => JSON.stringify(body).includes('"base"');

describe("nothing is taken from a source that", () => {
  test.each<[string, (path: string, body: unknown, told: unknown) => unknown]>([
    [
      "names a folder elsewhere",
      (path, _body, said) =>
        path === LOOK ? { ...Object(said), folders: [{ folder: "15-1/../../../etc", mark: "1" }] } : said,
    ],
    [
      "names a file elsewhere",
      (path, body, said) =>
        path === FOLDER && isBase(body)
          ? {
              files: [
                ["../../../x", 1, 1],
                ["backup.manifest", 1, 1],
              ],
            }
          : said,
    ],
    [
      "names a file by a whole path",
      (path, body, said) =>
        path === FOLDER && isBase(body)
          ? {
              files: [
                ["/etc/x", 1, 1],
                ["backup.manifest", 1, 1],
              ],
            }
          : said,
    ],
    [
      "names files of no size",
      (path, _body, said) => (path === FOLDER ? { mark: "1", files: [["backup.manifest", 1e300, 1]] } : said),
    ],
    [
      "gives no manifest",
      (path, body, said) => (path === FOLDER && isBase(body) ? { files: [["bundle/1", 1, 1]] } : said),
    ],
    [
      "gives more than it said",
      (path, body, said) =>
        path === PIECE && !JSON.stringify(body).includes("info") ? Buffer.alloc(1024 * 1024) : said,
    ],
    [
      "gives less than it said",
      (path, body, said) =>
        path === PIECE && !JSON.stringify(body).includes("info") ? Buffer.alloc(0) : said,
    ],
    [
      "has info files of rubbish",
      (path, body, said) =>
        path === PIECE && JSON.stringify(body).includes("info") && said instanceof Buffer && said.length > 0
          ? Buffer.from("Salted__rubbish")
          : said,
    ],
    [
      "gives something else than a document",
      (path, _body, said) => (path === LOOK ? Buffer.from("\0\0") : said),
    ],
  ])("%s", async (_what, answer) => {
    const own = await emptyCopy(primary);

    const state = await round(lying(answer), own);

    expect(state.problem?.kind).toBe("refused");
    expect(state.bases).toEqual([]);
    if (existsSync(own.repository)) {
      const all = readdirSync(own.repository, { recursive: true }).map(String);
      expect(all.filter((name) => /part-|passwd|etc|^x/.test(name))).toEqual([]);
    }
  });

  test("says that a file has more bytes than any disk", async () => {
    const own = await emptyCopy(primary);
    const huge = lying((path, body, said) =>
      path === FOLDER && isBase(body)
        ? {
            files: [
              ["backup.manifest", 10, 1],
              ["bundle/1", 64 * 1024 ** 3, 1],
              ["bundle/2", 64 * 1024 ** 3, 1],
              ["bundle/3", 64 * 1024 ** 3, 1],
              ["bundle/4", 64 * 1024 ** 3, 1],
            ],
          }
        : said,
    );
    const state = await round(huge, own);
    expect(state.problem?.kind).toBe("no_room");
    expect(state.walWhole).toBe(true);
  });
});

test("links in the own repository are not followed", async () => {
  const own = await emptyCopy(primary);
  const elsewhere = await emptyCopy(primary);
  plant(elsewhere.repository, "kept", "as it was", primary.owner);
  plant(own.repository, "kept", "", primary.owner);
  symlinkSync(elsewhere.repository, join(own.repository, "copying.tmp"));
  const state = await round(shown(primary.repository), own);
  expect(state.problem?.kind).toBe("failed");
  expect(readdirSync(elsewhere.repository)).toEqual(["kept"]);
});

describe("a repository is shown", () => {
  const service = new RepositoryService();
  const ask = async (repository: string, path: string, body: unknown) =>
    await service.answer({ repository, stanza: STANZA }, path, JSON.stringify(body));

  test.each([
    { info: "../../etc/passwd" },
    { info: "archive.info.copy" },
    { wal: "15-1/../..", name: "archive.info" },
    { wal: "15-1/0000000100000000", name: "../../archive.info" },
    { base: "..", path: "backup.info" },
    { base: "20261129-160000F", path: "../backup.info" },
    { base: "20261129-160000F", path: "/etc/passwd" },
    { base: "20261129-160000F/..", path: "backup.info" },
    {},
  ])("by its own names alone: %j", async (of) => {
    expect(await ask(primary.repository, PIECE, { of, offset: 0 })).toMatchObject({ status: 400 });
  });

  test("without what links in it lead to", async () => {
    const own = await emptyCopy(primary);
    await copyAll(shown(primary.repository), own);
    const [label = ""] = (await told(own)).labels;
    const secret = join(primary.dataDir, "secret");
    writeFileSync(secret, "secret");
    symlinkSync(secret, join(own.repository, "backup", STANZA, label, "link"));
    symlinkSync(primary.dataDir, join(own.repository, "backup", STANZA, label, "folder"));
    const of = (path: string) => ({ of: { base: label, path }, offset: 0 });
    expect(await ask(own.repository, PIECE, of("link"))).toMatchObject({ status: 404 });
    expect(await ask(own.repository, PIECE, of("folder/secret"))).toMatchObject({ status: 404 });
    expect(await ask(own.repository, PIECE, of("backup.manifest"))).toMatchObject({ status: 200 });
    const listed = JSON.stringify(await ask(own.repository, FOLDER, { base: label }));
    expect(listed).not.toContain("link");
    expect(listed).not.toContain("secret");
  });

  test("by few answers at once, each counted until it has left", async () => {
    const busy = new RepositoryService();
    const served = { repository: primary.repository, stanza: STANZA };
    const left: (() => void)[] = [];
    const list = async (from: string): Promise<number> => {
      const sent = new Promise<void>((resolve) => left.push(resolve));
      return (await busy.answer(served, LOOK, "{}", { from, sent })).status;
    };
    const statuses: number[] = [];
    for (const from of ["h1", "h1", "h1", "h2"]) statuses.push(await list(from));
    // One that does not read keeps no other from its answers.
    expect(statuses).toEqual([200, 200, 429, 200]);
    for (const leave of left) leave();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await list("h1")).toBe(200);
  });

  test("as missing where there is none", async () => {
    expect(await ask("/nowhere/at/all", LOOK, {})).toMatchObject({ status: 404 });
    const state = await round(shown("/nowhere/at/all"), await emptyCopy(primary));
    expect(state.problem).toMatchObject({ kind: "refused" });
  });
});

test.runIf(mayMount)(
  "a disk is never filled: the copy stops, says so, and goes on when there is room",
  async () => {
    const own = {
      ...(await emptyCopy(primary)),
      repository: join(smallDisk(24, primary.owner), "repository"),
    };
    const filler = join(own.repository, "..", "filler");
    writeFileSync(filler, Buffer.alloc(23 * 1024 * 1024));

    const full = await round(shown(primary.repository), own);

    expect(full.problem?.kind).toBe("no_room");
    writeFileSync(filler, "");
    await copyAll(shown(primary.repository), own);
    expect(await told(own)).toEqual(await told(primary));
    expect(statSync(join(own.repository, "archive")).isDirectory()).toBe(true);
    expect(readFileSync(filler, "utf8")).toBe("");
  },
);
