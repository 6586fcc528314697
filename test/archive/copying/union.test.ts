import { beforeAll, expect, test } from "vitest";
import {
  copyAll,
  emptyCopy,
  filesOf,
  neededFiles,
  newArchiving,
  restored,
  serversFolder,
  shown,
  told,
  type Archiving,
} from "./real-repository.ts";

let first: Archiving;

beforeAll(async () => {
  first = await newArchiving();
  await first.write();
  await first.pgbackrest("--type=full", "backup");
  await first.write();
});

test("after two primaries wrote, each repository gets what the other has, and any of it can be restored", async () => {
  const own = await emptyCopy(first);
  await copyAll(shown(first.repository), own);
  // The host of the first is cut off, takes itself for the primary still, and archives on; another one takes over.
  const second = await restored(own.repository);
  await first.write(100);
  await first.pgbackrest("--type=diff", "backup");
  await second.write(1000);
  await second.pgbackrest("--type=full", "backup");
  await second.write(1000);
  const rows = Number(await second.session.value("SELECT count(*) FROM marks"));
  const other = { ...own, repository: first.repository, dataDir: first.dataDir };

  const united = await copyAll(shown(first.repository), own, { isPrimary: true });
  await copyAll(shown(own.repository, "db2"), other);

  expect(united.bases).toHaveLength(3);
  expect(neededFiles(first.repository)).toEqual(filesOf(own.repository));
  expect(await told(other)).toEqual(await told(own));
  expect((await told(own)).damaged).toBe(false);
  const again = await restored(first.repository, await serversFolder("x"), ["--target-timeline=2"]);
  expect(Number(await again.session.value("SELECT count(*) FROM marks"))).toBe(rows);
  // The new primary archives on, also a segment that is there already.
  await second.write();
});

test("what expiry would remove here is not copied, so it does not come back each time", async () => {
  await first.pgbackrest("--type=full", "backup");
  await first.write();
  const { labels } = await told({ repository: first.repository, dataDir: first.dataDir });
  // Of base backups that are older than the window only the newest full one is kept.
  const own = { ...(await emptyCopy(first)), days: 0 };

  const state = await copyAll(shown(first.repository), own);

  expect(labels.length).toBeGreaterThan(1);
  expect(state.bases).toEqual([labels.at(-1)]);
  expect(filesOf(own.repository).filter((file) => file.includes("000000010000000000000001"))).toEqual([]);
  expect(await told(own)).toMatchObject({ labels: [labels.at(-1)], damaged: false });
});
