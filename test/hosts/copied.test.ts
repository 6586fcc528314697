import { describe, expect, test } from "vitest";
import type { CopyState } from "../../src/archive/copying/copier.ts";
import { copyReport, isNews } from "../../src/hosts/archiving/copied.ts";
import { archivingWarnings, copyWarnings, sayTroubles } from "../../src/hosts/decisions/any-second.ts";
import { hostWarnings } from "../../src/hosts/decisions/host-warnings.ts";
import { hostsStatusSchema } from "../../src/hosts/documents/report.ts";
import type { Archiving } from "../../src/model/backups/archive-status.ts";
import { archivingOf, minute as at, reportingHost, travellingOf as told } from "./standins.ts";

describe("what the primary's host says of its repository", () => {
  const record = (node: string, timeline: number, minute: number): Archiving =>
    archivingOf({ primary: { node, waits: false, archived_at: at(minute), timeline } });
  const of = { leader: "h1", timeline: 3, systemIdentifier: "7" };

  test("is kept by a copy where it is news", () => {
    expect(isNews(told(record("h1", 1, 5)), undefined, { ...of, timeline: 1 })).toBe(true);
    expect(isNews(told(record("h1", 1, 5)), record("h1", 1, 4), { ...of, timeline: undefined })).toBe(true);
    const same = record("h1", 1, 5);
    expect(isNews(told({ ...same, gaps: [{ from: at(2), to: at(3) }] }), same, of)).toBe(true);
  });

  test("is not kept while it has not taken over: it may say less than is known here", () => {
    const own = record("h2", 2, 9);
    expect(isNews(told(record("h1", 1, 5)), own, of)).toBe(false);
    expect(isNews(told(record("h2", 2, 8)), own, of)).toBe(false);
    expect(isNews(told(record("h1", 1, 5)), own, { ...of, timeline: undefined })).toBe(false);
    // It has heard more of the one before than this host.
    expect(isNews(told(record("h2", 2, 10)), own, of)).toBe(true);
  });

  test("is kept once it archives on the timeline that this host follows, whatever was known", () => {
    expect(isNews(told(record("h1", 3, 5)), record("h3", 3, 20), of)).toBe(true);
  });

  test("is never kept of another cluster, and replaces what another one has left", () => {
    const other = { ...record("h1", 3, 5), system_identifier: "8" };
    expect(isNews(told(other), undefined, of)).toBe(false);
    expect(isNews(told(record("h1", 1, 5)), { ...other, primary: undefined }, of)).toBe(true);
  });
});

describe("how far a copy is", () => {
  const round = (changes: Partial<CopyState> = {}) => ({
    walWhole: true,
    bases: ["20261128-170735F"],
    aside: undefined,
    copying: null,
    problem: null,
    ...changes,
  });
  const upTo = (before: string | null, changes: Partial<CopyState>): string | null =>
    copyReport({ up_to: before }, round(changes), at(30)).up_to;

  test("counts only with a base backup that the WAL follows", () => {
    expect(upTo(null, {})).toBe(at(30));
    expect(upTo(null, { bases: [] })).toBe(null);
    expect(upTo(at(20), { bases: [] })).toBe(null);
    expect(upTo(at(20), { aside: "/srv/aside-1", walWhole: false })).toBe(null);
  });

  test("stays where it was while a round is not whole", () => {
    expect(upTo(at(20), { walWhole: false, bases: [] })).toBe(at(20));
  });

  test("says which problem lasts", () => {
    const report = (kind: "no_room" | "unreachable") =>
      copyReport({ up_to: null }, round({ problem: { kind, text: "why" } }), null);
    expect(report("no_room")).toMatchObject({ problem: "why", lasts: true });
    expect(report("unreachable")).toMatchObject({ problem: "why", lasts: false });
  });
});

describe("warnings of any second", () => {
  const window = { from: at(0), to: at(30), gaps: [], archiving: true, base_backups: 1 };
  const host = (name: string, any_second: unknown, version = "1") =>
    reportingHost(name, { any_second, version });
  const copy = (up_to: string | null, more: object = {}) => ({
    window: null,
    copy: { up_to, bytes_left: 0, problem: null, ...more },
  });

  test("tell of a copy that cannot be whole, before it is late", () => {
    const seen = (...others: ReturnType<typeof host>[]) =>
      copyWarnings({ primary: "h1", hosts: [host("h1", { window, copy: null }), ...others] });
    const [found, ...rest] = seen(
      host("h2", copy(at(30), { problem: "the disk has no room.", lasts: true })),
      host("h3", copy(at(30), { problem: "h1 does not answer", lasts: false })),
      // Of an earlier version.
      host("h4", copy(at(30), { problem: "h1 does not answer" })),
    );
    expect(rest).toEqual([]);
    expect(found).toMatchObject({
      code: "window_copy_late",
      node: "h2",
      message: "The copy of the repository on h2 cannot be whole: the disk has no room.",
    });
  });

  test("are said on every host, with what is wrong with archiving on the primary's", () => {
    const primary = host("h1", { window, copy: null, problem: "h1 cannot archive its WAL\u001B[2J" });
    const late = host("h2", copy(at(30), { problem: "the disk has no room.", lasts: true }));
    expect(sayTroubles({ primary: "h1", hosts: [primary, late] })).toEqual([
      expect.stringMatching(/^h1 cannot archive its WAL[^\p{Cc}]*$/u),
      "The copy of the repository on h2 cannot be whole: the disk has no room.",
    ]);
    // Of an earlier version.
    expect(sayTroubles({ primary: "h1", hosts: [host("h1", { window, copy: null })] })).toEqual([]);
    const off = { primary: "h1", hosts: [host("h1", null), host("h2", copy(at(20)))] };
    expect(sayTroubles(off)).toEqual([expect.stringMatching(/off in the file of h1/)]);
  });

  test("name a primary's host that has it off while others keep copies", () => {
    const hosts = [host("h1", null), host("h2", copy(at(20))), host("h3", copy(at(20)))];
    const found = archivingWarnings({ primary: "h1", hosts });
    expect(found.map(({ code }) => code)).toEqual(["window_broken"]);
    expect(found[0]?.message).toMatch(/h2 and h3 get nothing new: .* off in the file of h1/);
    expect(archivingWarnings({ primary: "h1", hosts: [host("h1", null), host("h2", null)] })).toEqual([]);
  });

  test("are no alarm at once where it is being turned on, and nothing was ever copied", () => {
    const found = archivingWarnings({ primary: "h1", hosts: [host("h1", null), host("h2", copy(null))] });
    expect(found.map(({ code, node }) => [code, node])).toEqual([["window_copy_late", "h2"]]);
    expect(found[0]?.message).toMatch(/there is none: .* file of h1/);
  });

  test("come from the other hosts where the primary's odoo-pg is another, which may not know of them", () => {
    const codes = (version: string): string[] =>
      hostWarnings(
        hostsStatusSchema.parse({
          version: 1,
          cluster: "odoo",
          seen_from: "h2",
          store: { answers: true, seconds_ago: 0 },
          primary: "h1",
          synchronous: [],
          paused: false,
          failover: { ready: true, obstacles: [], away: [] },
          endpoints: { write: 5436, read: 5435 },
          hosts: [host("h1", null, version), host("h2", copy(at(20)))],
        }),
      ).map(({ code }) => code);
    expect(codes("0")).toEqual(["window_broken"]);
    expect(codes("1")).toEqual([]);
  });
});
