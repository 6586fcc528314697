import { describe, expect, test } from "vitest";
import type { ArchivePlace } from "../../src/archive/place.ts";
import {
  basesToTake,
  commandOf,
  endedByOff,
  healed,
  isRival,
  isTaken,
  leftBy,
  rivalOf,
  taken,
  toldBefore,
  wholeUpTo,
  withEarlier,
} from "../../src/hosts/archiving/decide.ts";
import { withoutBranches } from "../../src/hosts/archiving/lost-branch.ts";
import { believed, newestOf, type Travelling } from "../../src/hosts/archiving/travelling.ts";
import {
  archivingWarnings,
  copyWarnings,
  hostCopies,
  sayAnySecond,
} from "../../src/hosts/decisions/any-second.ts";
import { archivingOf as record, minute as at, reportingHost, travellingOf as told } from "./standins.ts";

const place: ArchivePlace = {
  repository: "/srv/s.archive",
  stanza: "lab",
  dir: "/srv/s/archive",
  locks: "/srv/s/archive/locks",
  recordFile: "/srv/s/archive/archiving.json",
  lockFile: "/srv/s/archive/base-backup.lock",
  moments: "/srv/s/archive/moments",
  momentLock: "/srv/s/archive/moment.lock",
  keptFile: "/srv/s/archive/kept-moment.json",
  copies: "/srv/s/archive/copies",
};

describe("what a host's server archives with", () => {
  const asked = { enabled: true, program: "/usr/bin/pgbackrest", place, node: "h2" };

  test("is there before it becomes primary: nothing that it writes then is lost", () => {
    const command = expect.stringContaining(
      '/usr/bin/pgbackrest --config=/srv/s/archive/h2.conf --stanza=lab archive-push "$PWD/%p"',
    );
    expect(commandOf({ ...asked, record: undefined })).toEqual(command);
    expect(commandOf({ ...asked, record: record() })).toEqual(command);
    // Another host has given up what filled its disk.
    expect(commandOf({ ...asked, record: record({ archiving: false }) })).toEqual(command);
  });

  test("is nothing where this host has given up, where any second is off, and without pgBackRest", () => {
    const gaveUp = record({ archiving: false });
    expect(commandOf({ ...asked, node: "h1", record: gaveUp })).toBeUndefined();
    expect(commandOf({ ...asked, node: "h1", record: { ...gaveUp, primary: undefined } })).toBeUndefined();
    expect(commandOf({ ...asked, enabled: false, record: record() })).toBeUndefined();
    expect(commandOf({ ...asked, program: undefined, record: undefined })).toBeUndefined();
  });

  test("is the one of before where pgBackRest does not answer: WAL waits, it is not dropped", () => {
    const kept = record({ program: "/opt/pgbackrest" });
    expect(commandOf({ ...asked, program: undefined, record: kept })).toContain(" /opt/pgbackrest --config");
  });

  test("is nothing where WAL was given up before the record can say so, as long as that lasts", () => {
    expect(commandOf({ ...asked, record: record(), gaveUp: true })).toBeUndefined();
    expect(commandOf({ ...asked, record: record(), gaveUp: false })).toBeDefined();
  });

  test("was turned off: the record says so, from where all was archived, whoever is primary", () => {
    expect(endedByOff(record())).toEqual(record({ archiving: false, since: at(10) }));
    expect(endedByOff(record({ primary: undefined }))).toMatchObject({ archiving: false, since: at(1) });
    expect(endedByOff(record({ archiving: false }))).toBeUndefined();
    expect(endedByOff(undefined)).toBeUndefined();
  });
});

describe("a new primary", () => {
  const by = { node: "h2", timeline: 2, program: "/usr/bin/pgbackrest" };

  test("goes on without a gap where its repository lacks nothing", () => {
    const { record: next, gap } = taken({ known: record(), here: record(), lacks: false }, by, at(20));
    expect(gap).toBeUndefined();
    expect(next).toEqual({
      ...record(),
      primary: { node: "h2", waits: false, archived_at: at(10), timeline: 2 },
    });
    expect(isTaken(next, "h2", 2)).toBe(true);
  });

  test("notes what is missing, from where all was there", () => {
    const here = record({ primary: { node: "h1", waits: false, archived_at: at(5), timeline: 1 } });
    const { record: next, gap } = taken({ known: record(), here, lacks: true }, by, at(20));
    expect(gap).toEqual({ from: at(5), to: at(20) });
    expect(next).toMatchObject({ since: at(20), gaps: [gap], archiving: true });
  });

  test("looks for what is missing from where all was there", () => {
    const here = record({ primary: { node: "h1", waits: false, archived_at: at(5), timeline: 1 } });
    expect(wholeUpTo({ known: record(), here })).toBe(at(5));
    expect(wholeUpTo({ known: record(), here: undefined })).toBe(at(1));
    expect(wholeUpTo({ known: record(), here: record({ archiving: false, since: at(3) }) })).toBe(at(3));
  });

  test("that knew of nothing notes what another host tells of later, and a gap up to its own begin", () => {
    const own = record({
      since: at(40),
      primary: { node: "h2", waits: false, archived_at: at(41), timeline: 2 },
    });
    const hole = { from: at(3), to: at(4) };
    const earlier = record({ since: at(4), gaps: [hole], timelines: [{ at: at(2), timeline: 1 }] });
    const more = withEarlier(own, earlier);
    expect(more).toMatchObject({ since: at(40), gaps: [hole, { from: at(10), to: at(40) }] });
    expect(more?.timelines).toEqual([{ at: at(2), timeline: 1 }]);
    // It is known now.
    expect(more && withEarlier(more, earlier)).toBeUndefined();
    expect(withEarlier(record(), record())).toBeUndefined();
    expect(withEarlier(own, { ...earlier, system_identifier: "8" })).toBeUndefined();
    // A clock that is ahead there.
    const ahead = { ...earlier, primary: { node: "h1", waits: false, archived_at: at(50), timeline: 1 } };
    expect(withEarlier(own, ahead)?.gaps.at(-1)).toEqual({ from: at(40), to: at(40) });
  });

  test("notes of what another host tells later only what is of its own history", () => {
    const by = { node: "h2", timeline: 3, begun: Date.parse(at(8)), lost: [] };
    const onTwo = record({ primary: { node: "h3", waits: false, archived_at: at(10), timeline: 2 } });
    // Not beyond the begin of its own timeline, nor what was archived on another branch, also of a timeline before its own.
    expect(toldBefore(onTwo, by)).toMatchObject({ primary: { archived_at: at(8) } });
    expect(toldBefore(onTwo, { ...by, lost: [2] })).toBeUndefined();
    expect(toldBefore(onTwo, { ...by, timeline: 2 })).toBeUndefined();
    expect(toldBefore(onTwo, { ...by, lost: [1] })).toMatchObject({ primary: { archived_at: at(8) } });
    expect(toldBefore(record({ primary: undefined }), by)).toEqual(record({ primary: undefined }));
  });

  test("counts on nothing where the WAL of nobody is here", () => {
    const { gap } = taken({ known: record(), here: undefined, lacks: true }, by, at(20));
    expect(gap).toEqual({ from: at(1), to: at(20) });
  });

  test("notes what the one before had given up", () => {
    const known = record({ archiving: false, since: at(8) });
    const { record: next, gap } = taken({ known, here: known, lacks: false }, by, at(20));
    expect(gap).toEqual({ from: at(8), to: at(20) });
    expect(next.archiving).toBe(true);
  });

  test("takes the gap back once it is filled, and no other", () => {
    const other = { from: at(2), to: at(3) };
    const before = record({ since: at(3), gaps: [other] });
    const { record: next, gap } = taken({ known: before, here: undefined, lacks: true }, by, at(20));
    if (!gap) throw new Error("there is a gap");
    const whole = healed(next, gap, before.since);
    expect([whole.gaps, whole.since]).toEqual([[other], at(3)]);
    // A later one began meanwhile.
    const later = { ...next, since: at(30) };
    expect(healed(later, gap, before.since).since).toBe(at(30));
  });

  test("counts what the one before archived only up to where its own timeline began", () => {
    const later = Date.parse(at(8));
    expect(leftBy(record(), 2, later)).toMatchObject({ primary: { archived_at: at(8) } });
    expect(leftBy(record(), 2, Date.parse(at(12)))).toEqual(record());
    expect(leftBy(record(), 1, later)).toEqual(record());
    expect(leftBy(record(), 2, undefined)).toEqual(record());
    expect(leftBy(record({ primary: undefined }), 2, later)).toEqual(record({ primary: undefined }));
  });

  test("knows a record of another one that was promoted to the same timeline", () => {
    expect(isRival(record(), "h2", 1)).toBe(true);
    expect(isRival(record(), "h1", 1)).toBe(false);
    expect(isRival(record(), "h2", 2)).toBe(false);
    expect(isRival(record({ primary: undefined }), "h2", 1)).toBe(false);
    const other = record({ primary: { node: "h2", waits: false, archived_at: at(3), timeline: 1 } });
    expect(rivalOf(record(), other, 1)).toBe(1);
    // It has not taken over what this host's server follows.
    expect(rivalOf(record(), other, 2)).toBeUndefined();
    expect(rivalOf(record(), record(), 1)).toBeUndefined();
    expect(rivalOf(record({ primary: undefined }), other, 1)).toBeUndefined();
  });

  test("counts on nothing that a record says since the begin of a timeline that is lost", () => {
    const onTwo = record({
      primary: { node: "h1", waits: false, archived_at: at(30), timeline: 2 },
      timelines: [
        { at: at(1), timeline: 1 },
        { at: at(20), timeline: 2 },
      ],
      unfetched: { hosts: ["h3"] },
    });
    const { primary: _primary, unfetched: _unfetched, ...others } = onTwo;
    expect(withoutBranches(onTwo, [2])).toEqual({
      ...others,
      archiving: false,
      since: at(20),
      timelines: [{ at: at(1), timeline: 1 }],
    });
    expect(withoutBranches(onTwo, [3])).toBe(onTwo);
    expect(withoutBranches(record(), [1])).toMatchObject({ archiving: false, since: at(1) });
  });

  test("is one that archives on another timeline, or another host", () => {
    expect(isTaken(record(), "h1", 1)).toBe(true);
    expect(isTaken(record(), "h1", 2)).toBe(false);
    expect(isTaken(record(), "h2", 1)).toBe(false);
    expect(isTaken(record({ primary: undefined }), "h1", 1)).toBe(false);
    // Records of one host may not say on which.
    expect(isTaken(record({ primary: { node: "h1", waits: false, archived_at: at(1) } }), "h1", 4)).toBe(
      true,
    );
  });
});

describe("what hosts say of their repositories", () => {
  test("is believed by the newest timeline, then by how far it goes", () => {
    const onTwo = told(record({ primary: { node: "h2", waits: false, archived_at: at(4), timeline: 2 } }));
    const further = told(record({ primary: { node: "h1", waits: false, archived_at: at(30), timeline: 1 } }));
    expect(newestOf([told(record()), further, onTwo])).toBe(onTwo);
    expect(newestOf([told(record()), further])).toBe(further);
    expect(newestOf([])).toBeUndefined();
  });

  const status = (label: string, more: object = {}, stopped = at(2)) => ({
    version: 1,
    written_at: at(1),
    begun: { full: at(1), diff: null },
    bases: [
      {
        label,
        type: "full",
        started_at: at(1),
        stopped_at: stopped,
        stop_lsn: "0/4000100",
        timeline: 1,
        database_bytes: 1,
        repository_bytes: 1,
      },
    ],
    error: null,
    ...more,
  });
  const LABEL = "20261128-170735F";

  test("is not taken where it cannot be: of another cluster, of a timeline that is not yet, of the future", () => {
    const known = { now: Date.parse(at(30)), systemIdentifier: "7", timeline: 1 };
    const judge = (one: Travelling) => believed(one, known);
    expect(judge(told(record(), { up_to: at(34), status: status(LABEL) }))).toMatchObject({ ok: true });
    expect(judge(told(record({ system_identifier: "8" }))).ok).toBe(false);
    const primary = { node: "h1", waits: false, archived_at: at(10), timeline: 2 };
    expect(judge(told(record({ primary }))).ok).toBe(false);
    expect(believed(told(record({ primary })), { ...known, timeline: undefined }).ok).toBe(true);
    for (const future of [
      told(record(), { up_to: at(36) }),
      told(record({ since: at(36) })),
      told(record({ gaps: [{ from: at(1), to: at(36) }] })),
      told(record({ timelines: [{ at: at(36), timeline: 1 }] })),
      told(record({ primary: { ...primary, timeline: 1, archived_at: at(36) } })),
      told(record(), { status: status(LABEL, {}, at(36)) }),
      told(record(), { status: status(LABEL, { expiry_skipped_since: at(36) }) }),
    ])
      expect(judge(future)).toEqual({ ok: false, problem: "it names a time in the future" });
  });

  test("holds up no base backup and no drill by a time of the future", () => {
    const drill = { version: 1, begun_at: at(50), proven: null, failed: null };
    const judged = believed(
      told(record(), { drill, status: status(LABEL, { begun: { full: at(50), diff: at(3) } }) }),
      {
        now: Date.parse(at(30)),
        systemIdentifier: "7",
        timeline: 1,
      },
    );
    if (!judged.ok) throw new Error(judged.problem);
    expect(judged.told.status?.begun).toEqual({ full: null, diff: at(3) });
    expect(judged.told.drill).toBe(null);
  });

  test("has lists with an end", () => {
    const gaps = Array.from({ length: 1001 }, () => ({ from: at(1), to: at(2) }));
    expect(() => told(record({ gaps }))).toThrow(/too many/);
    const bases = Array.from({ length: 1001 }, () => status(LABEL).bases[0]);
    expect(() => told(record(), { status: status(LABEL, { bases }) })).toThrow(/too many/);
  });

  test("tells a new primary which base backups it may take from others: the former primary's alone", () => {
    const [one, two, planted] = [LABEL, "20261128-180735F", "20200101-000000F"];
    const own = told(record(), { status: status(one) });
    const former = { host: "h1", told: told(record(), { status: status(two) }) };
    const other = { host: "h3", told: told(record(), { status: status(planted) }) };
    expect([...basesToTake(own, [other, former])]).toEqual([one, two]);
    expect([...basesToTake(own, [other])]).toEqual([one]);
    expect([...basesToTake(undefined, [former])]).toEqual([two]);
    expect([...basesToTake(undefined, [])]).toEqual([]);
  });

  test("is read only where base backups have pgBackRest's own names", () => {
    expect(() => told(record(), { status: status("20261128-170735F_20261129-010000D") })).not.toThrow();
    expect(() => told(record(), { status: status("--repo1-path=/etc") })).toThrow(/base backup/);
  });
});

describe("the copies of hosts", () => {
  const window = { from: at(0), to: at(30), gaps: [], archiving: true, base_backups: 1 };
  const host = (name: string, any_second: unknown, age = 0) =>
    reportingHost(name, { any_second }, { seconds_ago: age });
  const copy = (up_to: string | null, more: object = {}) => ({
    window: null,
    copy: { up_to, bytes_left: 0, problem: null, ...more },
  });
  const status = (...others: ReturnType<typeof host>[]) => ({
    primary: "h1",
    hosts: [host("h1", { window, copy: null }), ...others],
  });

  test("are said with the window, each with how far it is", () => {
    const seen = status(
      host("h2", copy(at(30))),
      host("h3", copy(null, { bytes_left: 2 ** 30 })),
      host("h4", null),
    );
    expect(sayAnySecond(seen, Date.parse(at(31)))).toMatch(
      /^any second from 2026-11-28 17:00:00 to 2026-11-28 17:30:00 UTC .* copies: h2 \(to 2026-11-28 17:30:00\), h3 \(none yet, 1.*G.* left\), h4 \(none\)$/,
    );
    expect(hostCopies(seen)).toEqual([
      { name: "h2", copied_at: at(30) },
      { name: "h3", copied_at: null },
      { name: "h4", copied_at: null },
    ]);
    expect(sayAnySecond({ ...seen, primary: "h4" }, 0)).toBeUndefined();
  });

  test("are warned of when they are late, with the reason", () => {
    const late = status(
      host("h2", copy(at(26))),
      host("h3", copy(at(20), { problem: "the disk is full." })),
      host("h4", copy(null, { bytes_left: 5 })),
      host("h5", null),
      host("h6", null, 60),
    );
    const found = copyWarnings(late);
    expect(found.map(({ node }) => node)).toEqual(["h3", "h4", "h5"]);
    expect(found[0]?.message).toBe("h3 has no copy of the newest seconds: the disk is full.");
    expect(found[2]?.message).toMatch(/off in its own file/);
  });

  test("or of the primary's host, that takes no WAL, is an alarm of its own", () => {
    expect(archivingWarnings(status(host("h2", copy(at(30)))))).toEqual([]);
    const broken = copy(null, { problem: "No pgBackRest 2.41 or later was found." });
    const found = archivingWarnings({ primary: "h1", hosts: [host("h1", broken)] });
    expect(found.map(({ code }) => code)).toEqual(["window_broken"]);
    expect(found[0]?.message).toMatch(/of h1, now the primary's host: No pgBackRest/);
    expect(archivingWarnings({ primary: "h1", hosts: [host("h1", null)] })).toEqual([]);
  });
});
