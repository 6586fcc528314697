import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { archivePlaceOf } from "../../src/archive/place.ts";
import { listBases } from "../../src/archive/pgbackrest.ts";
import { begunAt, pushLacking } from "../../src/archive/push-lacking.ts";
import { readArchive } from "../../src/archive/record.ts";
import { pgbackrestOf } from "../../src/archive/setup.ts";
import { heldSegments } from "../../src/archive/wal-folder.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { parseLsn } from "../../src/model/lsn.ts";
import { readApplied } from "../../src/store/state.ts";
import { throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

const BACKUP = { schedule: "0 0 1 1 *", drill_schedule: "off", any_second: { enabled: true } };

test("a new primary takes into its repository what that lacks of the timeline before, and names what is nowhere", async () => {
  const cluster = await throwawayCluster({
    // As several hosts have it: a promotion would remove the WAL of before.
    config: { backup: BACKUP, postgres: { parameters: { wal_keep_size: "128MB" } } },
  });
  await cluster.up();
  const layout = layoutOf(cluster.stateDir);
  await waitFor("a base backup", async () => ((await readArchive(layout)).status?.bases.length ?? 0) > 0);
  const session = await cluster.onPrimary("postgres", "postgres");
  for (let number = 0; number < 4; number += 1) {
    await session.rows("SELECT pg_logical_emit_message(true, 'test', 'something')");
    await session.rows("SELECT pg_switch_wal()");
  }
  await session.close();
  expect((await cluster.run(["switchover"])).exitCode).toBe(0);
  // The agent itself takes what lacks, once.
  await waitFor(
    "the agent to have looked",
    async () => (await readArchive(layout)).archiving?.primary?.node === "pg2",
  );

  const applied = await readApplied(layout);
  const { archiving } = await readArchive(layout);
  if (!applied || !archiving) throw new Error("nothing was applied or archived");
  const place = archivePlaceOf(applied.config, layout);
  const { uid, gid } = statSync(place.repository);
  const node = applied.config.nodes.find(({ name }) => name === "pg2");
  if (!node) throw new Error("there is no second node");
  const dataDir = join(layout.nodesDir, "pg2", "data");
  const pgbackrest = pgbackrestOf(archiving.program, place, node, { uid, gid });
  const bases = await listBases(pgbackrest, archiving.system_identifier);
  const now = await cluster.onPrimary("postgres", "postgres");
  const [writes] = await now.rows("SELECT pg_current_wal_lsn()::text AS at");
  await now.close();
  const at = parseLsn(String(writes?.["at"]));
  const primary = { dataDir, timeline: 2, segmentBytes: 16 * 1024 * 1024, at };
  const ever = Date.now();
  expect((await begunAt(primary)) ?? 0).toBeGreaterThan(Date.now() - 120_000);
  await waitFor("the archive to be whole", async () => {
    const { pushed, missing } = await pushLacking({ place, pgbackrest }, bases, ever, primary);
    return pushed + missing.length === 0;
  });

  const wal = join(place.repository, "archive", place.stanza);
  const [id = ""] = readdirSync(wal).filter((name) => /^\d+-1$/.test(name));
  const folder = join(wal, id, "0000000100000000");
  const segments = readdirSync(folder)
    .filter((name) => /^[0-9A-F]{24}-/.test(name))
    .sort();
  const [first = "", second = ""] = segments.slice(-3);
  for (const name of [first, second]) rmSync(join(folder, name));
  rmSync(join(dataDir, "pg_wal", second.slice(0, 24)));

  const found = await pushLacking({ place, pgbackrest }, bases, ever, primary);
  const [base] = bases;
  const missing = [second.slice(0, 24)];
  // The next one was archived before the time up to which everything was to be there.
  expect(found).toEqual({ pushed: 1, missing, leads: true, unsure: base?.started_at });
  const earlier = Date.parse(base?.stopped_at ?? "");
  expect(await pushLacking({ place, pgbackrest }, bases, earlier, primary)).toEqual({
    pushed: 0,
    missing,
    leads: true,
    unsure: undefined,
  });
  // The very same segment, by its checksum.
  expect(readdirSync(folder)).toContain(first);
  expect([...(await heldSegments(place, [first.slice(0, 24), second.slice(0, 24)]))]).toEqual([
    first.slice(0, 24),
  ]);

  // Without a base backup nobody can say what is missing: all that is there is taken.
  rmSync(join(folder, first));
  const without = await pushLacking({ place, pgbackrest }, [], ever, primary);
  expect(without).toMatchObject({ missing: [], leads: false });
  expect(without.pushed).toBeGreaterThanOrEqual(1);
  expect(readdirSync(folder)).toContain(first);
});
