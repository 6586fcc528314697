import { describe, expect, test } from "vitest";
import { makesBackups, newestBackupElsewhere, sayBackups } from "../../../src/hosts/decisions/backups.ts";
import { hostWarnings, ownWarnings } from "../../../src/hosts/decisions/host-warnings.ts";
import { type HostsStatus } from "../../../src/hosts/documents/report.ts";
import { warning, warningInDocument } from "../../../src/model/warnings.ts";
import { reportingHost } from "../standins.ts";

describe("what of several hosts is worth an alarm", () => {
  const status: HostsStatus = {
    version: 1,
    cluster: "odoo",
    seen_from: "h1",
    store: { answers: true, seconds_ago: 0 },
    primary: "h1",
    synchronous: ["h2"],
    paused: false,
    failover: { ready: true, obstacles: [], away: [] },
    endpoints: { write: 5436, read: 5435 },
    removed: null,
    revoked_by_nobody: [],
    document_problem: null,
    hosts: [],
  };
  const codes = (changes: Partial<HostsStatus>): string[] =>
    hostWarnings({ ...status, ...changes }).map(({ code, node }) =>
      node === null ? code : `${code} ${node}`,
    );

  test("nothing where all is well, and no pause that somebody has ordered", () => {
    expect(codes({})).toEqual([]);
    expect(codes({ failover: { ready: false, obstacles: ["paused"], away: [] } })).toEqual([]);
  });

  test("what the primary's host sees it tells once for all", () => {
    const failover: HostsStatus["failover"] = {
      ready: false,
      obstacles: ["no_synchronous_replica"],
      away: ["h2"],
    };
    expect(codes({ failover })).toEqual(["failover_not_ready", "host_away h2"]);
    expect(codes({ failover, seen_from: "h3" })).toEqual([]);
  });

  test("a certificate that ends soon, by the clock of the host that has it", () => {
    const clock = Date.UTC(2026, 0, 1);
    const hosts = [30, 200].map((days) =>
      reportingHost(`h${days}`, { clock, certificate_ends: clock + days * 24 * 3_600_000 }),
    );
    expect(codes({ hosts })).toEqual(["host_certificate_ends h30"]);
  });

  test("an authority that ends is told more than a year before, once", () => {
    const clock = Date.UTC(2035, 0, 1);
    const hostsWith = (days: number) => [
      reportingHost("h1", { clock, authority_ends: clock + days * 24 * 3_600_000 }),
    ];
    expect(codes({ hosts: hostsWith(499) })).toEqual(["host_authority_ends"]);
    expect(codes({ hosts: hostsWith(501) })).toEqual([]);
    expect(codes({ hosts: hostsWith(499), seen_from: "h2" })).toEqual([]);
  });

  test("what a server says of nodes as if it were a cluster of one host is left out", () => {
    const found = [
      warning("writes_wait", { message: "Commits wait.", next: "Wait." }),
      warning("backup_failed", { message: "No backup.", next: "Make one." }),
    ].map((one) => warningInDocument(one, undefined));
    expect(ownWarnings(found, false).map(({ code }) => code)).toEqual(["backup_failed"]);
  });

  test("backups of a host that was the primary's before count while it answers", () => {
    const old = warningInDocument(
      warning("backup_too_old", { message: "Old.", next: "Make one." }),
      undefined,
    );
    expect(ownWarnings([old], true)).toEqual([]);
    expect(ownWarnings([old], false)).toEqual([old]);
    const host = (name: string, at: string | null, age: number) =>
      reportingHost(
        name,
        { backups: { schedule: "@daily", directory: "/b", last_good_at: at } },
        { seconds_ago: age },
      );
    const hosts = [
      host("h1", "2026-11-29T00:00:00.000Z", 0),
      host("h2", "2026-11-27T00:00:00.000Z", 1),
      host("h3", "2026-11-28T00:00:00.000Z", 60),
      host("h4", "2026-11-26T00:00:00.000Z", 1),
      host("h5", null, 1),
    ];
    expect(newestBackupElsewhere({ hosts, seen_from: "h1" })).toEqual({
      host: "h2",
      at: "2026-11-27T00:00:00.000Z",
    });
  });

  test("that there is no majority each host tells by itself", () => {
    const store = { answers: false, seconds_ago: 9 };
    for (const seen of ["h1", "h3"])
      expect(codes({ store, seen_from: seen, primary: null })).toEqual(["store_without_majority"]);
  });
});

describe("scheduled backups", () => {
  const said = (backups: unknown, primary: string | null = "h2") =>
    sayBackups({
      primary,
      hosts: [reportingHost("h2", { backups })],
    });

  test("are made by the host that writes go to, and by none while writes go nowhere", () => {
    const hosts = ["h1", "h2", "h3"];
    expect(hosts.filter((own) => makesBackups(own, "h2"))).toEqual(["h2"]);
    expect(hosts.filter((own) => makesBackups(own, undefined))).toEqual([]);
  });

  test("are said with their host, their time and their folder, or that there are none", () => {
    expect(said({ schedule: "0 3 * * *", directory: "/srv/backups" })).toBe(
      "on h2, the primary's host, by 0 3 * * *, into /srv/backups",
    );
    expect(said({ schedule: null, directory: "/srv/backups" })).toMatch(/^none by schedule on h2/);
    expect(said(undefined)).toMatch(/^on h2/);
    expect(said(null, null)).toMatch(/no primary/);
  });
});
