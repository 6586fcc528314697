import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { RepositoryCopier } from "../../../src/archive/copying/copier.ts";
import type { Source } from "../../../src/archive/copying/source.ts";
import {
  copyAll,
  emptyCopy,
  expire,
  filesOf,
  labelsTold,
  neededFiles,
  restored,
  shapeOf,
  shown,
  told,
  type Archiving,
  writtenArchiving,
} from "./real-repository.ts";

let primary: Archiving;

beforeAll(async () => {
  primary = await writtenArchiving();
});

test("a copy has all WAL and base backups as they are, and pgBackRest restores from it alone", async () => {
  const own = await emptyCopy(primary);
  await copyAll(shown(primary.repository), own);
  await primary.write();
  await primary.pgbackrest("--type=diff", "backup");
  await primary.write();

  const state = await copyAll(shown(primary.repository), own);

  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  for (const file of filesOf(own.repository)) {
    const [copied, original] = [own, primary].map((of) => shapeOf(join(of.repository, file)));
    expect(copied?.shape).toEqual(original?.shape);
    expect(Math.abs((copied?.at ?? 0) - (original?.at ?? 0))).toBeLessThan(2);
  }
  expect(await told(own)).toEqual(await told(primary));
  expect(state).toMatchObject({ walWhole: true, whole: true, stale: false, conflicts: [], copying: null });
  expect(Date.now() - Date.parse(state.upTo ?? "")).toBeLessThan(60_000);
  const again = await restored(own.repository);
  const rows = "SELECT count(*)::int FROM marks";
  expect(await again.session.value(rows)).toBe(await primary.session.value(rows));
});

test("what is archived, and what a base backup is made of meanwhile, comes as a whole", async () => {
  const own = await emptyCopy(primary);
  const copier = new RepositoryCopier();
  const made = { isOver: false };
  const making = (async () => {
    for (let times = 0; times < 3; times++) {
      await primary.write(20_000);
      await primary.pgbackrest("--type=diff", "backup");
    }
    made.isOver = true;
  })();
  while (!made.isOver) {
    const { problem, stale } = await copier.fetch(shown(primary.repository), own, { isPrimary: false });
    expect(problem).toBe(null);
    if (stale) await expire(own);
    expect(await told(own)).toMatchObject({ damaged: false });
  }
  await making;

  await copyAll(shown(primary.repository), own, { copier });

  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  expect(await told(own)).toEqual(await told(primary));
});

/** A source that is cut off at its nth answer. */
function cutAt(source: Source, count: number): { source: Source; isCut: () => boolean } {
  let asked = 0;
  return {
    source: {
      name: source.name,
      async ask(...question) {
        asked += 1;
        if (asked > count) throw new Error("the line was cut");
        return await source.ask(...question);
      },
    },
    isCut: () => asked > count,
  };
}

test("a copy that is cut off at any answer goes on, and is never something that pgBackRest cannot use", async () => {
  const own = await emptyCopy(primary);
  let answers = 0;
  for (; ; answers++) {
    const { source, isCut } = cutAt(shown(primary.repository), answers);
    // Another program each time: nothing is known of the round before.
    const state = await new RepositoryCopier().fetch(source, own, { isPrimary: false });
    expect([undefined, "unreachable"]).toContain(state.problem?.kind);
    if (state.stale) await expire(own);
    if (filesOf(own.repository).length > 0) expect(await labelsTold(own)).toEqual(state.bases);
    if (!isCut() && state.whole && !state.stale) break;
    expect(answers).toBeLessThan(100);
  }
  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  expect(await told(own)).toEqual(await told(primary));
});
