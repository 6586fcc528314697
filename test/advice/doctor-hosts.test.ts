import { describe, expect, test } from "vitest";
import { diagnose } from "../../src/advice/doctor/diagnose.ts";
import { doctorDocument } from "../../src/advice/doctor/document.ts";
import {
  seen,
  unseen,
  type Evidence,
  type HostsSeen,
  type SlotSeen,
} from "../../src/advice/doctor/evidence.ts";
import { toldBy } from "../../src/cli/hosts/seen.ts";
import { hostReportSchema } from "../../src/hosts/documents/report.ts";
import { printNext } from "../../src/next-step.ts";
import { backups, GB, node, NOW, replica, server } from "./doctor-evidence.ts";
import { overHosts } from "./doctor-faults.ts";

const MB = 1024 * 1024;

function slotsOn(kind: "primary" | "replica", ...slots: readonly Partial<SlotSeen>[]): Partial<Evidence> {
  const all = slots.map((slot): SlotSeen => ({
    name: "h3",
    type: "physical",
    active: false,
    wal_status: "reserved",
    kept_bytes: 0,
    ...slot,
  }));
  const own = kind === "primary" ? server({ slots: seen(all) }) : replica({ slots: seen(all) });
  return { nodes: [node("h1", { server: seen(own) })] };
}

function found(evidence: Evidence): string[] {
  return diagnose(evidence).map(({ code, next_step }) => `${code}: ${printNext(next_step, "odoo-pg")}`);
}

describe("doctor over several hosts", () => {
  test("finds nothing where all is well, with a host away whose slot stays", () => {
    expect(found(overHosts())).toEqual([]);
  });

  test("never advises to drop the slot of a host, away or not, and one that holds much is the host's to come back for", () => {
    const much = { wal_status: "unreserved", kept_bytes: 40 * GB };
    const [away, ...more] = found(overHosts({}, slotsOn("primary", much)));
    expect(away).toMatch(
      /^slot_keeps_wal: start h3 again; .*only if it is lost for good: odoo-pg ha remove h3/i,
    );
    expect(more).toEqual([]);
    expect(found(overHosts({}, slotsOn("primary", { ...much, name: "h2" })))).toEqual([
      "slot_keeps_wal: on h2: odoo-pg logs h2",
    ]);
    expect(found(overHosts({}, slotsOn("primary", { name: "h2", wal_status: "lost" })))).toEqual([
      "slot_lost: on h2: odoo-pg reseed",
    ]);
    for (const text of found(overHosts({}, slotsOn("primary", much, { name: "h2", wal_status: "lost" }))))
      expect(text).not.toContain("pg_drop_replication_slot");
  });

  test("says of a slot that belongs to no host what it says on one host", () => {
    const [text] = found(overHosts({}, slotsOn("primary", { name: "old_one", kept_bytes: 16 * MB })));
    expect(text).toMatch(/^slot_unused: .*odoo-pg psql h1 .*pg_drop_replication_slot\(.*old_one/);
  });

  test("on a replica's host the slots that Patroni keeps there are no trouble", () => {
    const evidence = overHosts({ primary: "h2" }, slotsOn("replica", { name: "h2", wal_status: "lost" }, {}));
    expect(found(evidence)).toEqual([]);
  });

  test("what is of all hosts is said on the primary's alone, and where that is", () => {
    const others = [{ ...other("h2"), version: "17.5", aheadSeconds: 9 }];
    expect(found(overHosts({ others })).map((text) => text.split(":")[0])).toEqual([
      "clock_skew",
      "node_versions_differ",
    ]);
    const away = unseen("that is shown on the primary's host: run odoo-pg doctor on h2");
    const elsewhere = overHosts({ others, primary: "h2" }, { catalog: away, backups: away });
    expect(found(elsewhere)).toEqual([]);
    const { not_looked_at: gaps } = doctorDocument(elsewhere, undefined);
    expect(gaps).toContainEqual({ what: "backups", why: away.seen ? "" : away.why });
    expect(gaps).toContainEqual({
      what: "server, disk and settings of h2",
      why: "run odoo-pg doctor on h2",
    });
  });

  test("backups that another host made lately are not missed here, and old ones are", () => {
    const old = { backups: backups({ backupDays: 9 }) };
    const at = (days: number): Partial<HostsSeen> => ({
      backedUp: { host: "h2", at: new Date(NOW - days * 86_400_000).toISOString() },
    });
    expect(found(overHosts({}, old)).join()).toMatch(/backup_too_old/);
    expect(found(overHosts(at(1), old)).join()).not.toMatch(/backup_too_old/);
    expect(found(overHosts(at(8), old)).join()).toMatch(/backup_too_old/);
  });

  test("another version asks for a restart one by one, and none of servers by hand", () => {
    const others = [{ ...other("h2"), version: "17.5" }];
    expect(found(overHosts({ others }))).toEqual([
      expect.stringMatching(/^node_versions_differ: .*on one of them: odoo-pg restart$/),
    ]);
  });
});

test("what a host that does not answer said last is not of now", () => {
  const host = (name: string, age: number | null, clock: number) => ({
    name,
    role: "database" as const,
    address: "10.0.0.2",
    seconds_ago: age,
    report:
      age === null
        ? null
        : hostReportSchema.parse({
            name,
            role: "database",
            address: "10.0.0.2",
            version: "1",
            clock,
            store: null,
            sees_store: true,
            patroni: null,
            reads: [],
            writes: null,
            working: null,
            postgres: { state: "replica", streaming: true, timeline: 1, lag_bytes: 0, version: "17.6" },
          }),
  });
  const told = toldBy(
    {
      version: 1,
      cluster: "c",
      seen_from: "h1",
      primary: "h1",
      synchronous: [],
      paused: false,
      store: { answers: true, seconds_ago: 0 },
      failover: { ready: true, obstacles: [], away: [] },
      endpoints: { write: 1, read: 2 },
      removed: null,
      revoked_by_nobody: [],
      document_problem: null,
      hosts: [host("h1", 0, NOW), host("h2", 1, NOW + 4000), host("h3", 60, NOW), host("h4", null, NOW)],
    },
    NOW,
  );
  expect(told.others).toEqual([
    { name: "h2", hasDatabase: true, answers: true, version: "17.6", aheadSeconds: 5 },
    { ...other("h3"), answers: false },
    { ...other("h4"), answers: false },
  ]);
});

function other(name: string): HostsSeen["others"][number] {
  return { name, hasDatabase: true, answers: true, version: undefined, aheadSeconds: undefined };
}
