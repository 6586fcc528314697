import { existsSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import {
  branchOf,
  isOnTheWay,
  labelsLost,
  timelineOfHistory,
  type Lineage,
} from "../../../src/archive/copying/branches.ts";
import { RepositoryCopier, type CopyState } from "../../../src/archive/copying/copier.ts";
import { limitsOfPrimary } from "../../../src/archive/copying/limits.ts";
import type { OwnRepository } from "../../../src/archive/copying/own.ts";
import { strangersIn } from "../../../src/archive/strangers.ts";
import { shedBefore } from "../../../src/hosts/archiving/lost-branch.ts";
import { parseLsn } from "../../../src/model/lsn.ts";
import {
  copyAll,
  emptyCopy,
  expire,
  filesOf,
  labelsTold,
  newArchiving,
  restored,
  serversFolder,
  shown,
  STANZA,
  told,
  type Archiving,
} from "./real-repository.ts";

/** Has the folders of a repository's WAL look as if nothing had changed for long. */
function foldersAged(repository: string): void {
  const archive = join(repository, "archive");
  for (const entry of readdirSync(archive, { recursive: true, withFileTypes: true }))
    if (entry.isDirectory()) utimesSync(join(entry.parentPath, entry.name), 1_000_000_000, 1_000_000_000);
}

const HISTORY = "1\t0/6000158\tno recovery target specified\n\n3\t0/8000000\tno recovery target specified\n";
const lineage: Lineage = { timeline: 4, history: HISTORY };

describe("a timeline's history in a repository", () => {
  const first = "1\t0/6000158\tno recovery target specified\n";

  test("is the server's own where all before it was left at the same places, whatever the reasons", () => {
    expect(branchOf(3, "1\t0/6000158\tat restore point\n", lineage)).toBe("own");
    expect(branchOf(4, HISTORY, lineage)).toBe("own");
    expect(branchOf(2, first, { timeline: 2, history: first })).toBe("own");
  });

  test("is of a lost branch where the number is one of the server's, and it came out of another place", () => {
    expect(branchOf(3, "1\t0/7000000\tno recovery target specified\n", lineage)).toBe("lost");
    expect(branchOf(3, `${first}\n2\t0/7000000\tx\n`, lineage)).toBe("lost");
    expect(branchOf(4, first, lineage)).toBe("lost");
    expect(branchOf(4, "", lineage)).toBe("lost");
  });

  test("says nothing where the server's history does not have the number, or is lost", () => {
    expect(branchOf(2, first, lineage)).toBe("other");
    expect(branchOf(5, first, lineage)).toBe("other");
    expect(branchOf(3, first, { timeline: 4, history: undefined })).toBe("other");
    expect(branchOf(2, first, { timeline: 1, history: undefined })).toBe("other");
  });

  test("is known by the file's name", () => {
    expect(timelineOfHistory("0000000A.history")).toBe(10);
    expect(timelineOfHistory("0000000A.history.tmp")).toBeUndefined();
    expect(timelineOfHistory("000000010000000000000006.00000028.backup")).toBeUndefined();
  });
});

describe("base backups", () => {
  const base = (label: string, archiveStart: string, stopLsn: string) => ({
    label,
    archiveStart,
    stopLsn,
    stoppedAt: 0,
    databaseId: 1,
  });
  const before = base("20261101-000000F", "000000010000000000000005", "0/5000100");
  const after = base("20261102-000000F", "000000010000000000000007", "0/7000100");
  const upon = base("20261102-000000F_20261103-000000D", "000000030000000000000007", "0/7000100");

  test("that were made after their timeline was left lead to nothing", () => {
    expect([before, after].map((one) => isOnTheWay(one, lineage))).toEqual([true, false]);
    expect(isOnTheWay(base("x", "000000020000000000000006", "0/6000100"), lineage)).toBe(false);
    expect(isOnTheWay(base("x", "000000050000000000000006", "0/6000100"), lineage)).toBe(true);
    expect(isOnTheWay(after, { timeline: 4, history: undefined })).toBe(true);
  });

  test("go with the one that they need", () => {
    expect(labelsLost([before, after, upon], new Set(), lineage)).toEqual([after.label, upon.label]);
    expect(labelsLost([before], new Set([1]), lineage)).toEqual([before.label]);
    expect(labelsLost([before], new Set([3]), lineage)).toEqual([]);
  });
});

describe("two servers that were promoted to the same timeline", () => {
  let first: Archiving;
  /** The one that is gone on from, and the one that is lost. */
  let kept: Archiving;
  let lost: Archiving;
  let mine: OwnRepository;
  let theirs: OwnRepository;

  const lineageOf = ({ dataDir }: Archiving, timeline = 2): Lineage => ({
    timeline,
    history: readFileSync(join(dataDir, `pg_wal/0000000${timeline}.history`), "utf8"),
  });
  const timelines = (repository: string): string[] => [
    ...new Set(filesOf(repository).flatMap((file) => /\/([0-9A-F]{8})[0-9A-F]{8}\//.exec(file)?.[1] ?? [])),
  ];

  /** A copy as the agent of a host keeps it. */
  async function copied(own: OwnRepository, by: Lineage, rival?: number): Promise<CopyState[]> {
    const copier = new RepositoryCopier();
    const states: CopyState[] = [];
    for (let round = 0; round < 20; round += 1) {
      // As soon as it is put aside the record tells of it no more.
      const options = { isPrimary: false, lineage: by, rival: round === 0 ? rival : undefined };
      const state = await copier.fetch(shown(theirs.repository, "db3"), own, options);
      states.push(state);
      if (state.stale) await expire(own);
      else if (state.problem || state.whole) return states;
    }
    throw new Error("it does not come to an end");
  }

  async function rowsIn(repository: string): Promise<number> {
    const again = await restored(repository, await serversFolder("x"), ["--target-timeline=2"]);
    const rows = Number(await again.session.value("SELECT count(*) FROM marks"));
    await again.stop();
    return rows;
  }

  describe.each([
    ["from different places", 50],
    ["from the very same place", 0],
  ])("%s", (_places, more) => {
    beforeAll(async () => {
      first = await newArchiving();
      await first.write();
      await first.pgbackrest("--type=full", "backup");
      await first.write();
      mine = await emptyCopy(first);
      theirs = await emptyCopy(first);
      await copyAll(shown(first.repository), mine);
      if (more) await first.write(more);
      await copyAll(shown(first.repository), theirs);
      lost = await restored(mine.repository);
      kept = await restored(theirs.repository);
      for (const each of [lost, kept]) {
        await each.write(100);
        await each.pgbackrest("--type=full", "backup");
      }
      await kept.write(1000);
      await lost.write(10);
      await lost.write(10);
    });

    test("a new primary takes nothing of the other one's timeline, nor its base backup, and says which it is", async () => {
      const own = await emptyCopy(first);
      await copyAll(shown(theirs.repository), own);
      const before = filesOf(own.repository);
      const { history } = lineageOf(kept);
      // It is on the next one by now.
      const next = { timeline: 3, history: `${history ?? ""}\n2\tF/0\tno recovery target specified\n` };
      const copier = new RepositoryCopier();
      const options = {
        isPrimary: true,
        lineage: next,
        limits: limitsOfPrimary(3, next.history, 16 * 1024 * 1024),
      };
      await copier.fetch(shown(mine.repository, "db2"), own, options);
      const state = await copier.fetch(shown(mine.repository, "db2"), own, options);

      expect(state).toMatchObject({ problem: null, lost: [2], shed: undefined });
      expect(filesOf(own.repository)).toEqual(before);
    });

    test("a copy whose own server's disk has WAL of the one that is gone on from puts the other's aside without being told", async () => {
      const own = { ...(await emptyCopy(first)), dataDir: kept.dataDir };
      await copyAll(shown(mine.repository), own);
      const states = await copied(own, lineageOf(kept));

      expect(states.find(({ shed }) => shed)?.shed?.timelines).toEqual([2]);
      expect(states.at(-1)).toMatchObject({ problem: null, walWhole: true, conflicts: [] });
      expect(await told(own)).toEqual(await told(theirs));
    });

    test("a copy of the lost one stays where the own server's disk has the very same WAL", async () => {
      const own = { ...(await emptyCopy(first)), dataDir: lost.dataDir };
      await copyAll(shown(mine.repository), own);
      const taken = (): string[] => filesOf(own.repository).filter((file) => !file.includes("/00000001"));
      const before = taken();
      const states = await copied(own, lineageOf(lost));

      expect(states.map(({ shed }) => shed)).toEqual(states.map(() => undefined));
      expect(states.at(-1)).toMatchObject({ walWhole: false, problem: { kind: "refused" } });
      expect(taken()).toEqual(before);
    });

    test("a new primary finds the lost one's WAL on a timeline before its own, by its own disk", async () => {
      const own = await emptyCopy(first);
      await copyAll(shown(mine.repository), own);
      const next = await restored(theirs.repository, own.repository);
      const by = lineageOf(next, 3);
      const segmentBytes = 16 * 1024 * 1024;
      const at = parseLsn(String(await next.session.value("SELECT pg_current_wal_lsn()::text")));
      const shed = await shedBefore({ ...own, dataDir: next.dataDir }, by, { segmentBytes, at });

      expect(shed?.timelines).toEqual([2]);
      expect(timelines(own.repository)).not.toContain("00000002");
      await next.write();
      expect(await shedBefore({ ...own, dataDir: next.dataDir }, by, { segmentBytes, at })).toBeUndefined();
    });

    test("a copy puts what it has of the lost one aside, gets the other whole, and nothing is removed", async () => {
      const before = filesOf(mine.repository).filter((file) => file.includes("/0000000200000000/"));
      if (!more) {
        const unaware = (await copied(mine, lineageOf(kept))).at(-1);
        expect(unaware?.problem?.text).toMatch(/which is here with another content: it is not taken/);
        expect(unaware?.walWhole).toBe(false);
      }
      const states = await copied(mine, lineageOf(kept), more ? undefined : 2);
      const shed = states.find((state) => state.shed)?.shed;

      expect(states.at(-1)).toMatchObject({ problem: null, walWhole: true, conflicts: [] });
      expect(shed?.timelines).toEqual([2]);
      expect(filesOf(shed?.aside ?? "")).toEqual(expect.arrayContaining(before));
      expect(timelines(mine.repository)).toEqual(["00000001", "00000002"]);
      expect(await told(mine)).toEqual(await told(theirs));
      expect((await told(mine)).damaged).toBe(false);
      expect(await rowsIn(mine.repository)).toBe(
        Number(await kept.session.value("SELECT count(*) FROM marks")),
      );
    });
  });

  test("a copy of a primary that is on another branch than its own server takes nothing of that, and says so", async () => {
    const own = await emptyCopy(first);
    const by = { timeline: 2, history: "1\t0/2000000\tno recovery target specified\n" };
    const state = (await copied(own, by)).at(-1);
    expect(state?.problem?.text).toMatch(/db3 shows a timeline 2 that is not the one of this number/);
    expect([state?.walWhole, timelines(own.repository)]).toEqual([false, ["00000001"]]);
    // Also where nothing changes any more, on either side.
    const copier = new RepositoryCopier();
    const later: CopyState[] = [];
    for (let round = 0; round < 4; round += 1) {
      for (const repository of [own.repository, theirs.repository]) foldersAged(repository);
      const options = { isPrimary: false, lineage: by };
      later.push(await copier.fetch(shown(theirs.repository, "db3"), own, options));
    }
    expect(later.map(({ walWhole }) => walWhole)).toEqual([false, false, false, false]);
    expect(later.at(-1)?.problem?.kind).toBe("refused");
  });

  test("a new primary finds what is of another one on its own timeline, and archives in its place", async () => {
    const base = await newArchiving();
    await base.write();
    await base.pgbackrest("--type=full", "backup");
    const own = await emptyCopy(base);
    await copyAll(shown(base.repository), own);
    const rival = await restored(own.repository);
    await rival.write(10);
    await rival.pgbackrest("--type=full", "backup");
    await rival.write(10);
    await rival.stop();
    // Its server comes from the same place, and finds the other's WAL under the names of its own.
    const promoted = await restored(base.repository, own.repository);
    const segmentBytes = 16 * 1024 * 1024;
    await promoted.session.rows("CREATE TABLE more AS SELECT 1");
    await promoted.session.rows("SELECT pg_switch_wal()");
    const at = parseLsn(String(await promoted.session.value("SELECT pg_current_wal_lsn()::text")));
    const { dataDir } = promoted;
    const found = await strangersIn(
      { repository: own.repository, stanza: STANZA },
      {
        dataDir,
        timeline: 2,
        segmentBytes,
        at,
      },
    );
    expect(found.size).toBeGreaterThan(0);

    const shed = await shedBefore({ ...own, dataDir }, lineageOf(promoted), { segmentBytes, at });

    expect(shed?.timelines).toEqual([2]);
    await expire(own);
    expect(await labelsTold(own)).toHaveLength(1);
    await promoted.write(100);
    expect(existsSync(shed?.aside ?? "")).toBe(true);
    const later = parseLsn(String(await promoted.session.value("SELECT pg_current_wal_lsn()::text")));
    const again = await shedBefore({ ...own, dataDir }, lineageOf(promoted), { segmentBytes, at: later });
    expect(again).toBeUndefined();
    expect((await told(own)).damaged).toBe(false);
  });
});
