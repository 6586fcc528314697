import { describe, expect, test } from "vitest";
import type { CataloguedBackup } from "../../src/backup/catalogue.ts";
import { knownProofs, proofsAfter } from "../../src/cluster/backups/proofs.ts";
import type { DatabaseProof, RunReport } from "../../src/model/backups/backup-report.ts";
import { backupOf as backup, day, recordOf as record } from "../backup/records.ts";

function run(kind: "backup" | "drill", at: number, results: readonly [CataloguedBackup, "ok" | "failed"][]) {
  const report: RunReport = {
    version: 1,
    kind,
    cluster: "test",
    host: "here",
    started_at: day(at).replace("03:00", "02:00"),
    finished_at: day(at).replace("03:00", "04:00"),
    ok: results.every(([, outcome]) => outcome === "ok"),
    databases: results.map(([{ id, manifest }, outcome]) => ({
      database: manifest.database,
      outcome,
      id,
      seconds: 1,
      size_bytes: 1,
      copied_bytes: 0,
      error: outcome === "failed" ? "something is missing" : null,
      warnings: [],
    })),
    removed: [],
    warnings: [],
  };
  return report;
}

interface Step {
  readonly backups: readonly CataloguedBackup[];
  readonly run: RunReport;
  readonly databases?: readonly string[];
  readonly before?: readonly DatabaseProof[] | undefined;
}

function after({ backups, run, databases = ["crm", "shop"], before }: Step): DatabaseProof[] {
  const known = before && record({ proofs: [...before] });
  return proofsAfter({ databases, backups, run, before: known, now: Date.parse(day(30)) });
}

const nothing = run("backup", 20, []);

describe("what is known of each database after a run", () => {
  test("a failed drill of one is not forgotten when another's succeeds", () => {
    const shop = backup("shop", 1);
    const failed = after({ backups: [shop], run: run("drill", 2, [[shop, "failed"]]) });
    expect(failed.map(({ failed }) => failed?.id)).toEqual([undefined, shop.id]);
    const crm = backup("crm", 2, 3);
    const later = after({ backups: [shop, crm], run: run("drill", 3, [[crm, "ok"]]), before: failed });
    expect(later).toMatchObject([
      { database: "crm", proven: { at: day(3), id: crm.id }, failed: null },
      { database: "shop", proven: null, failed: { id: shop.id, error: "something is missing" } },
    ]);
  });

  test("a proof answers the failure of the same backup and of an older one, and not that of a newer one", () => {
    const [old, newer] = [backup("shop", 1), backup("shop", 2)];
    const before = after({ backups: [old, newer], run: run("drill", 3, [[newer, "failed"]]) });
    const then = (...backups: CataloguedBackup[]) => after({ backups, run: nothing, before })[1];
    expect(then(backup("shop", 1, 4), newer)).toMatchObject({
      proven: { id: old.id },
      failed: { id: newer.id },
    });
    expect(then(old, backup("shop", 2, 4))?.failed).toBeNull();
    expect(then(old, newer, backup("shop", 4, 5))?.failed).toBeNull();
    expect(then(backup("shop", 3, 5))?.failed).toBeNull();
  });

  test("where several of one failed, that of the newest stays", () => {
    const [old, newer] = [backup("shop", 1), backup("shop", 2)];
    const before = after({ backups: [old, newer], run: run("drill", 3, [[newer, "failed"]]) });
    const later = after({ backups: [old, newer], run: run("drill", 4, [[old, "failed"]]), before });
    expect(later[1]?.failed?.id).toBe(newer.id);
  });

  test("a proof outlives its backup, and a lost record is made anew from the backups", () => {
    const before = after({ backups: [backup("shop", 1, 2)], run: nothing });
    expect(before[1]).toMatchObject({ since: day(1), proven: { at: day(2) } });
    expect(after({ backups: [backup("shop", 5)], run: nothing, before })[1]).toEqual(before[1]);
  });

  test("databases that are gone are forgotten, new ones wait from when they are seen", () => {
    const before = after({ backups: [backup("shop", 1, 2)], run: nothing });
    const later = after({ backups: [], run: nothing, before, databases: ["new"] });
    expect(later).toEqual([{ database: "new", since: day(30), proven: null, failed: null }]);
  });

  test("a backup of another host that was named by its path says nothing of the database here", () => {
    const elsewhere = backup("shop", 1, 2);
    const found = after({ backups: [], run: run("drill", 2, [[elsewhere, "failed"]]) });
    expect(found[1]).toMatchObject({ proven: null, failed: null });
  });

  test("the record of version 0.1.0 is read on: its last drill names what it tried", () => {
    const [crm, shop] = [backup("crm", 1), backup("shop", 1)];
    const old = record({
      last_drill: run("drill", 2, [
        [crm, "ok"],
        [shop, "failed"],
      ]),
    });
    expect(knownProofs(old)).toMatchObject([
      { database: "crm", proven: { id: crm.id }, failed: null },
      { database: "shop", proven: null, failed: { id: shop.id } },
    ]);
    const input = { databases: ["crm", "shop"], backups: [crm, shop], run: nothing, before: old, now: 0 };
    expect(proofsAfter(input)).toEqual(knownProofs(old));
    expect(knownProofs(record({}))).toEqual([]);
    expect(knownProofs(undefined)).toEqual([]);
  });
});
