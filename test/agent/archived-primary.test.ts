import { describe, expect, test } from "vitest";
import { withPrimary } from "../../src/agent/backups/archived-primary.ts";
import { archivingSchema } from "../../src/model/backups/archive-status.ts";

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
const NOTHING = { lacks: false, archivedAt: undefined };
const SOMETHING = { lacks: true, archivedAt: undefined };
const next = { node: "pg2", waits: false, archived_at: T1 };

describe("the record of archiving", () => {
  test("keeps the primary whenever it changes, or begins or ends to wait", () => {
    expect(withPrimary(before, idle, undefined, T3)).toEqual({
      record: { ...before, primary: idle },
      lostWith: undefined,
    });
    const kept = { ...before, primary: idle };
    expect(withPrimary(kept, waiting, NOTHING, T3).record.primary).toEqual(waiting);
    expect(withPrimary({ ...before, primary: waiting }, idle, NOTHING, T3).record.primary).toEqual(idle);
    expect(withPrimary(kept, { ...idle, timeline: 4 }, NOTHING, T3).record.primary?.timeline).toBe(4);
  });

  test("has a gap where another primary follows one whose WAL is missing, also when it was read from the disk meanwhile", () => {
    const read = archivingSchema.parse(JSON.parse(JSON.stringify({ ...before, primary: waiting })));
    expect(withPrimary(read, next, SOMETHING, T3)).toEqual({
      record: { ...before, since: T3, gaps: [{ from: T2, to: T3 }], primary: next },
      lostWith: waiting,
    });
  });

  test("has none where all is there, also what waited when it was seen last, nor one within the time that is given up already", () => {
    expect(withPrimary({ ...before, primary: idle }, next, NOTHING, T3).record.gaps).toEqual([]);
    expect(withPrimary({ ...before, primary: waiting }, next, NOTHING, T3).record.gaps).toEqual([]);
    const given = { ...before, archiving: false, primary: waiting };
    expect(withPrimary(given, next, SOMETHING, T3).record).toEqual({ ...given, primary: next });
  });

  test("has a gap for what was finished since the last look, by the lost one's disk: from its oldest segment that waits", () => {
    const kept = { ...before, primary: idle };
    const between = "2026-11-29T01:59:00.000Z";
    const left = { lacks: true, archivedAt: Date.parse(between) };
    const lost = withPrimary(kept, next, left, T3);
    expect(lost.record).toEqual({ ...kept, since: T3, gaps: [{ from: between, to: T3 }], primary: next });
    expect(lost.lostWith?.node).toBe("pg1");
    // What was seen archived is there, however old the segment.
    expect(withPrimary(kept, next, { lacks: true, archivedAt: 0 }, T3).record.gaps).toEqual([
      { from: T2, to: T3 },
    ]);
  });

  test("has one where the lost one's disk cannot be read: from when it was noted last, which is when it archived last", () => {
    const kept = { ...before, primary: idle };
    expect(withPrimary(kept, next, undefined, T3).record.gaps).toEqual([{ from: T2, to: T3 }]);
    // What is missing is older than what was noted: nothing since the base backup is sure, unless a gap tells why.
    const unsure = { lacks: true, archivedAt: undefined, unsure: T1 };
    expect(withPrimary(kept, next, unsure, T3).record.gaps).toEqual([{ from: T1, to: T3 }]);
    const told = { ...kept, gaps: [{ from: T1, to: T2 }] };
    expect(withPrimary(told, next, unsure, T3).record.gaps.at(-1)).toEqual({ from: T2, to: T3 });
    expect(withPrimary(kept, { ...idle }, undefined, T3).record).toBe(kept);
    const later = { ...idle, archived_at: "2026-11-29T01:30:01.000Z" };
    expect(withPrimary(kept, later, undefined, T3).record.primary).toEqual(later);
  });
});
