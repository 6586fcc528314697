import { describe, expect, test } from "vitest";
import { command, nextStep, odooPg, printNext, withConfig } from "../../../src/next-step.ts";
import type { BackupStatus, RunReport } from "../../../src/model/backups/backup-report.ts";
import { statusOf } from "../../../src/cluster/status.ts";
import type { Warning } from "../../../src/model/warnings.ts";
import { databasesOf } from "../../../src/console/gather/databases.ts";
import { lastBackups, recoveryOf, type KnownBackup } from "../../../src/console/gather/recovery.ts";
import { essenceOf } from "../../../src/console/gather/same-document.ts";
import { verdictOf } from "../../../src/console/gather/verdict.ts";
import { NO_ACTIVITY } from "../../../src/console/gather/activity-reader.ts";
import type { GatheredDocument } from "../../../src/console/source.ts";
import { cluster, NOW, silent, seen, primaryFacts } from "../../support/observations.ts";

const HOUR = 3_600_000;
const before = (milliseconds: number): string => new Date(NOW - milliseconds).toISOString();

describe("the verdict", () => {
  const healthy = statusOf(cluster());
  const warned = (...warnings: readonly Partial<Warning>[]) =>
    verdictOf({
      ...healthy,
      verdict: "warning",
      warnings: warnings.map((warning) => ({
        code: "slot_lost",
        severity: "warning",
        node: "pg2",
        message: "pg2 cannot catch up.",
        next: "printed",
        next_step: [odooPg("reseed", "pg2")],
        ...warning,
      })),
    });

  test("of a healthy cluster says what works", () => {
    expect(verdictOf(healthy)).toEqual({
      level: "ok",
      sentence: "All is well: pg1 takes writes, its replica serves reads.",
      head: "All is well",
      warning: null,
      next: null,
      next_step: null,
      action: null,
      actions: [],
    });
  });

  test("is the worst of what is wrong, with its next step, and how much more there is", () => {
    const down = statusOf(
      cluster({ observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")] }),
    );
    const { level, sentence, next } = verdictOf(down);
    expect(level).toBe(down.verdict);
    expect(sentence).toContain("pg2, a replica, is not running");
    expect(next).toBe(down.warnings[0]?.next);
    expect(warned({}, {}, {}).sentence).toBe("pg2 cannot catch up. (And 2 more.)");
  });

  test("has a button exactly where the next step is a command of the page", () => {
    expect(warned({}).action).toEqual({ kind: "reseed", node: "pg2" });
    expect(warned({ next_step: [odooPg("rejoin", "pg1")] }).action).toEqual({ kind: "rejoin", node: "pg1" });
    expect(warned({ next_step: [odooPg("backup", "create", "--all")] }).action).toEqual({ kind: "backup" });
    expect(warned({ next_step: [odooPg("up")] }).action).toEqual({ kind: "apply" });
    const several = warned({}, { next_step: [odooPg("logs", "pg2")] }, { next_step: [odooPg("up")] });
    expect(several.actions).toEqual([{ kind: "reseed", node: "pg2" }, null, { kind: "apply" }]);
    const inFile = withConfig([odooPg("rejoin", "pg1")], "/etc/prod.yaml");
    expect(warned({ next_step: inFile }).action).toEqual({ kind: "rejoin", node: "pg1" });
    for (const step of [
      nextStep`Mount the disk, then: ${odooPg("backup", "create", "--all")}`,
      ["odoo-pg reseed pg2"],
      [odooPg("reseed", "pg9")],
      [odooPg("reseed", "pg2", "--discard-old")],
      [odooPg("logs", "pg2")],
      [command("reseed", "pg2")],
    ])
      expect(warned({ next_step: step }).action, printNext(step)).toBeNull();
  });
});

const run = (kind: RunReport["kind"], ok: boolean, finished: string): RunReport => ({
  version: 1,
  kind,
  cluster: "prod",
  host: "h",
  started_at: finished,
  finished_at: finished,
  ok,
  databases: [],
  removed: [],
  warnings: [],
});

const record = (changes: Partial<BackupStatus> = {}): BackupStatus => ({
  version: 1,
  written_at: before(0),
  last_good_at: before(12 * 60_000),
  databases: 1,
  without_backup: [],
  backups: 2,
  size_bytes: 4096,
  last_run: null,
  last_drill: run("drill", true, before(50 * HOUR)),
  ...changes,
});

const backup = (id: string, hours: number, changes: Partial<KnownBackup> = {}): KnownBackup => ({
  id,
  database: "shop",
  at: before(hours * HOUR),
  drilledAt: null,
  damaged: false,
  ...changes,
});

describe("can I go back", () => {
  const backups = [backup("shop_1", 100), backup("shop_2", 0.2)];

  test("is answered by the last backup, its proof, and the oldest moment", () => {
    const recovery = recoveryOf({ enabled: true, backups, record: record(), now: NOW });
    expect(recovery.sentence).toBe(
      "Last backup 12 min ago, proven by restoring 2 days ago; you can go back to 2026-11-18 05:41 UTC.",
    );
    expect(recovery).toMatchObject({
      last_backup_at: before(12 * 60_000),
      last_proven_at: before(50 * HOUR),
      oldest_at: before(100 * HOUR),
      size_bytes: 4096,
      backups: [{ id: "shop_2" }, { id: "shop_1" }],
    });
  });

  test("is never answered better than it is", () => {
    const sentence = (changes: Partial<Parameters<typeof recoveryOf>[0]>): string =>
      recoveryOf({ enabled: true, backups, record: record(), now: NOW, ...changes }).sentence;
    expect(sentence({ backups: undefined, record: undefined })).toBe(
      "The backups have not been checked yet.",
    );
    expect(sentence({ backups: [], record: undefined })).toBe(
      "There is no backup: nothing can be brought back.",
    );
    expect(sentence({ backups: [], record: undefined, enabled: false })).toContain("backups are turned off");
    expect(sentence({ record: record({ last_drill: null }) })).toContain("never proven by restoring");
    expect(sentence({ record: record({ last_drill: run("drill", false, before(HOUR)) }) })).toContain(
      "but the last attempt to restore failed",
    );
    expect(sentence({ record: record({ last_good_at: null, without_backup: ["new"] }) })).toContain(
      "Not backed up at all: new.",
    );
  });

  test("is answered by the oldest proof of all databases, and names what has none", () => {
    const proof = (database: string, hours: number | null, failed = false) => ({
      database,
      since: before(900 * HOUR),
      proven: hours === null ? null : { at: before(hours * HOUR), id: `${database}_1` },
      failed: failed ? { at: before(HOUR), id: `${database}_2`, error: "no" } : null,
    });
    const answer = (...proofs: ReturnType<typeof proof>[]) =>
      recoveryOf({ enabled: true, backups, record: record({ proofs }), now: NOW });
    expect(answer(proof("crm", 1), proof("shop", 50)).sentence).toContain("proven by restoring 2 days ago");
    expect(answer(proof("crm", 1), proof("shop", 50)).last_proven_at).toBe(before(50 * HOUR));
    expect(answer(proof("crm", 1), proof("shop", null)).sentence).toContain("shop never proven by restoring");
    expect(answer(proof("crm", 1), proof("shop", null)).last_proven_at).toBeNull();
    expect(answer(proof("crm", 1), proof("shop", 50, true)).sentence).toContain(
      "but the last attempt to restore shop failed",
    );
  });

  test("does not count what was found damaged, and counts a proof of a single backup", () => {
    const damaged = [
      backup("shop_0", 200, { damaged: true }),
      backup("shop_1", 3, { drilledAt: before(2 * HOUR) }),
    ];
    const recovery = recoveryOf({ enabled: true, backups: damaged, record: undefined, now: NOW });
    expect(recovery.backups.map(({ id }) => id)).toEqual(["shop_1"]);
    expect(recovery.last_proven_at).toBe(before(2 * HOUR));
    expect(lastBackups(damaged)).toEqual(new Map([["shop", before(3 * HOUR)]]));
  });

  test("offers the newest 50 backups at most", () => {
    const many = Array.from({ length: 300 }, (_, index) => backup(`shop_${index}`, 300 - index));
    const { backups: offered } = recoveryOf({ enabled: true, backups: many, record: undefined, now: NOW });
    expect(offered).toHaveLength(50);
    expect(offered[0]?.id).toBe("shop_299");
  });
});

test("databases are shown with what is known of them; the maintenance database only where Odoo is in it", () => {
  const shown = databasesOf({
    names: ["postgres", "shop", "wiki"],
    sizes: new Map([["shop", 100]]),
    facts: new Map([
      ["postgres", { facts: undefined }],
      ["wiki", { facts: undefined }],
    ]),
    lastBackups: new Map([["shop", before(HOUR)]]),
  });
  expect(shown.map(({ name }) => name)).toEqual(["shop", "wiki"]);
  expect(shown[0]).toMatchObject({
    size_bytes: 100,
    last_backup_at: before(HOUR),
    odoo_version: null,
    mail_waiting: null,
  });
});

test("a document is another one when something has changed, not when only the clock has", () => {
  const documentAt = (at: number): GatheredDocument => {
    const status = statusOf(cluster());
    const backups = status.backups && { ...status.backups, age_seconds: at };
    return {
      version: 1,
      at: new Date(at).toISOString(),
      cluster: "prod",
      config_file: null,
      called: "odoo-pg",
      verdict: verdictOf(status),
      recovery: recoveryOf({ enabled: true, backups: [], record: undefined, now: NOW }),
      status: { ...status, at: new Date(at).toISOString(), backups },
      disks: [],
      databases: [],
      activity: { ...NO_ACTIVITY, at: new Date(at).toISOString() },
      events: [],
    };
  };
  const one = documentAt(NOW);
  expect(essenceOf(documentAt(NOW + 1000))).toBe(essenceOf(one));
  expect(essenceOf({ ...one, activity: { ...one.activity, connections: 5 } })).not.toBe(essenceOf(one));
  expect(essenceOf({ ...one, activity: NO_ACTIVITY })).not.toBe(essenceOf(one));
});
