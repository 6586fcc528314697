import { mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { archivedEnd } from "../../src/archive/segments-ready.ts";
import { primaryFacts } from "../support/observations.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("a primary that has archived nothing of its timeline yet does not count what waits as archived", async () => {
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, "pg_wal/archive_status"), { recursive: true });
  const archiver = {
    last_archived_wal: "00000002.history",
    last_archived_at: 1_000_000,
    last_failed_wal: null,
    last_failed_at: null,
  };
  const facts = { ...primaryFacts({ timeline: 2, current_lsn: 0x9000000n, archiver }), now: 9_000_000 };
  const status = { bases: [] };
  expect(await archivedEnd(dataDir, facts, status)).toBe(9_000_000 - 60_000);

  const segment = join(dataDir, "pg_wal/000000020000000000000007");
  writeFileSync(segment, "");
  utimesSync(segment, 2000, 2000);
  writeFileSync(join(dataDir, "pg_wal/archive_status/000000020000000000000007.ready"), "");
  expect(await archivedEnd(dataDir, facts, status)).toBe(2_000_000 - 60_000);
  // Where it says by itself that some waits, it knows up to when all is archived.
  const knows = { ...archiver, last_archived_wal: "000000020000000000000006", last_archived_at: 1_990_000 };
  expect(await archivedEnd(dataDir, { ...facts, archiver: knows }, status)).toBe(1_990_000);
});
