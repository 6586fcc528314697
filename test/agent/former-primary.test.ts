import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { takeFromFormer } from "../../src/agent/backups/former-primary.ts";
import { listBases } from "../../src/archive/pgbackrest.ts";
import { parseLsn } from "../../src/model/lsn.ts";
import { filesOf, newArchiving, pgbackrestFor, STANZA } from "../archive/copying/real-repository.ts";

test("a former primary's note of WAL that is gone from its disk is no gap where the repository holds it, and is one where it does not", async () => {
  const former = await newArchiving();
  const { repository, dataDir, owner, systemIdentifier } = former;
  await former.pgbackrest("--type=full", "backup");
  await former.write();
  await former.write();
  const at = parseLsn(String(await former.session.value("SELECT pg_current_wal_lsn()::text")));
  await former.stop();
  const { conf } = await pgbackrestFor(repository, dataDir);
  const pgbackrest = { program: "pgbackrest", conf, stanza: STANZA, owner };
  const bases = await listBases(pgbackrest, systemIdentifier);
  const held = filesOf(repository).findLast((file) => /\/[0-9A-F]{24}-[0-9a-f]{40}/.test(file)) ?? "";
  const segment = /[0-9A-F]{24}/.exec(held)?.[0] ?? "";
  const wal = join(dataDir, "pg_wal");
  rmSync(join(wal, segment));
  writeFileSync(join(wal, "archive_status", `${segment}.ready`), "");
  const taken = async () =>
    await takeFromFormer(
      { place: { repository, stanza: STANZA }, pgbackrest },
      { dataDir, pgbackrest },
      { node: "pg1", waits: true, archived_at: new Date().toISOString(), timeline: 1 },
      bases,
      { dataDir, timeline: 1, segmentBytes: 16 * 1024 * 1024, at },
    );

  expect(await taken()).toMatchObject({ lacks: false });

  rmSync(join(repository, held));
  expect(await taken()).toMatchObject({ lacks: true });
});

test("a primary that changes right after the first base backup, of which nothing was noted yet, leaves no gap", async () => {
  const former = await newArchiving();
  const { repository, dataDir, owner, systemIdentifier } = former;
  const before = new Date(Date.now() - 1000).toISOString();
  await former.pgbackrest("--type=full", "backup");
  await former.write();
  const at = parseLsn(String(await former.session.value("SELECT pg_current_wal_lsn()::text")));
  await former.stop();
  const { conf } = await pgbackrestFor(repository, dataDir);
  const pgbackrest = { program: "pgbackrest", conf, stanza: STANZA, owner };
  const bases = await listBases(pgbackrest, systemIdentifier);
  const taken = async () =>
    await takeFromFormer(
      { place: { repository, stanza: STANZA }, pgbackrest },
      { dataDir, pgbackrest },
      { node: "pg1", waits: true, archived_at: before, timeline: 1 },
      bases,
      { dataDir, timeline: 1, segmentBytes: 16 * 1024 * 1024, at },
    );

  expect(await taken()).toMatchObject({ lacks: false });

  // What is missing after the base backup is one all the same.
  const held = filesOf(repository).findLast((file) => /\/[0-9A-F]{24}-[0-9a-f]{40}/.test(file)) ?? "";
  rmSync(join(repository, held));
  rmSync(join(dataDir, "pg_wal", /[0-9A-F]{24}/.exec(held)?.[0] ?? ""), { force: true });
  expect(await taken()).toMatchObject({ lacks: true });
});
