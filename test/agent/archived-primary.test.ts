import { describe, expect, test } from "vitest";
import { withPrimary } from "../../src/agent/backups/archived-primary.ts";
import { archivingSchema } from "../../src/model/archive-status.ts";

const [T1, T2, T3] = ["2026-11-29T01:00:00.000Z", "2026-11-29T01:30:00.000Z", "2026-11-29T02:00:00.000Z"];

const before = archivingSchema.parse({
  format: 1,
  program: "/usr/bin/pgbackrest",
  system_identifier: "7713270131294258091",
  archiving: true,
  since: T1,
  gaps: [],
});
const waiting = { node: "pg1", waits: true, archived_at: T2, timeline: 3 };
const idle = { ...waiting, waits: false };
const next = { node: "pg2", waits: false, archived_at: T1 };

describe("the record of archiving", () => {
  test("keeps the primary whenever it changes, or begins or ends to wait", () => {
    expect(withPrimary(before, idle, T3)).toEqual({
      record: { ...before, primary: idle },
      lostWith: undefined,
    });
    const kept = { ...before, primary: idle };
    expect(withPrimary(kept, { ...idle, archived_at: T3 }, T3).record).toBe(kept);
    expect(withPrimary(kept, waiting, T3).record.primary).toEqual(waiting);
    expect(withPrimary({ ...before, primary: waiting }, idle, T3).record.primary).toEqual(idle);
    expect(withPrimary(kept, { ...idle, timeline: 4 }, T3).record.primary?.timeline).toBe(4);
  });

  test("has a gap where another primary follows one whose WAL waited, also when it was read from the disk meanwhile", () => {
    const read = archivingSchema.parse(JSON.parse(JSON.stringify({ ...before, primary: waiting })));
    expect(withPrimary(read, next, T3)).toEqual({
      record: { ...before, since: T3, gaps: [{ from: T2, to: T3 }], primary: next },
      lostWith: waiting,
    });
  });

  test("has none where all was archived, nor one within the time that is given up already", () => {
    expect(withPrimary({ ...before, primary: idle }, next, T3).record.gaps).toEqual([]);
    const given = { ...before, archiving: false, primary: waiting };
    expect(withPrimary(given, next, T3).record).toEqual({ ...given, primary: next });
  });
});
