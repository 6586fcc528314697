import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BackupSchedule, type Kind, type Situation } from "../../src/agent/backups/backup-schedule.ts";
import { layoutOf } from "../../src/config/layout.ts";
import { resolveConfig } from "../../src/config/resolve.ts";
import type { NodeObservation } from "../../src/model/observation.ts";
import { deferred, notes } from "../support/notes.ts";
import { primaryFacts, replicaFacts, seen, silent } from "../support/observations.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const LAUNCHED = Date.UTC(2026, 10, 22, 9, 0);
const MINUTE = 60_000;

/** Hourly backups, drills at noon; nothing was run yet. */
function schedule(
  observation: NodeObservation = seen("pg1", primaryFacts()),
  { changes = {}, stateDir = "/nonexistent/odoo-pg" }: { changes?: object; stateDir?: string } = {},
) {
  const backup = { enabled: true, schedule: "0 * * * *", drill_schedule: "0 12 * * *", ...changes };
  const defaults = {
    isRoot: false,
    home: "/home/nobody",
    xdgStateHome: undefined,
    platform: "linux",
  } as const;
  const { config } = resolveConfig({
    file: { path: "odoo-pg.yaml", text: JSON.stringify({ backup }), variables: undefined },
    env: {},
    defaults,
  });
  const clock = { now: LAUNCHED };
  const begun: Kind[] = [];
  const running = deferred();
  let fails = false;
  const tested = new BackupSchedule(
    async (kind) => {
      if (fails) throw new Error("no process can be started");
      begun.push(kind);
      return await Promise.resolve({ ended: running.promise });
    },
    () => clock.now,
  );
  const situation: Situation = {
    layout: layoutOf(stateDir),
    log: notes().log,
    upstream: undefined,
    config,
    nodes: new Map([["pg1", { observation }]]),
    state: { primary: "pg1", history: [{ at: new Date(LAUNCHED).toISOString() }] },
  };
  const at = async (minutes: number): Promise<readonly Kind[]> => {
    clock.now = LAUNCHED + minutes * MINUTE;
    await tested.tick(situation);
    return begun;
  };
  return { at, end: running.resolve, begun, failing: (now: boolean) => (fails = now) };
}

test("the first backup is begun when the schedule says so after the launch, and not before", async () => {
  const { at } = schedule();
  expect(await at(1)).toEqual([]);
  expect(await at(59)).toEqual([]);
  expect(await at(60)).toEqual(["backup"]);
});

test("backups and drills go by schedules of their own", async () => {
  const { at } = schedule();
  expect(await at(181)).toEqual(["backup", "drill"]);
});

test("what is still running is not begun again, and what was missed is made up for once", async () => {
  const { at, end } = schedule();
  await at(60);
  expect(await at(170)).toEqual(["backup"]);
  end();
  await Promise.resolve();
  expect(await at(171)).toEqual(["backup", "backup"]);
  expect(await at(172)).toEqual(["backup", "backup"]);
});

test.each([
  ["does not answer", silent("pg1", "timeout")],
  ["is a replica", seen("pg1", replicaFacts())],
])("nothing is begun while the primary %s", async (_, observation) => {
  const { at } = schedule(observation);
  expect(await at(600)).toEqual([]);
});

test("one whose process cannot be started is tried again at its next time", async () => {
  const { at, begun, failing } = schedule();
  failing(true);
  await expect(at(60)).rejects.toThrow("no process can be started");
  failing(false);
  expect(await at(119)).toEqual([]);
  await at(120);
  expect(begun).toEqual(["backup"]);
});

describe("a second", () => {
  const changes = { schedule: "off", any_second: { enabled: true, drill_schedule: "0 12 * * *" } };

  /** The record of the last drill, or of the first base backup, so many hours before the launch. */
  const withRecord = (name: string, record: object): string => {
    const stateDir = temporaryFolder();
    writeFileSync(join(stateDir, name), JSON.stringify(record));
    return stateDir;
  };

  test("is proven when its own schedule says so, whether backups are made or not", async () => {
    const began = new Date(LAUNCHED).toISOString();
    const stateDir = withRecord("second-drill.json", {
      version: 1,
      begun_at: began,
      proven: null,
      failed: null,
    });
    const { at } = schedule(undefined, { changes: { ...changes, enabled: false }, stateDir });
    expect(await at(179)).toEqual([]);
    expect(await at(180)).toEqual(["second"]);
  });

  test("that should have been proven while nobody was there is made up for once", async () => {
    const began = new Date(LAUNCHED - 72 * 60 * MINUTE).toISOString();
    const stateDir = withRecord("second-drill.json", {
      version: 1,
      begun_at: began,
      proven: null,
      failed: null,
    });
    const { at } = schedule(undefined, { changes, stateDir });
    expect(await at(0)).toContain("second");
    expect(await at(1)).toEqual(["second"]);
  });

  test("is never proven where any second is off, or its drill", async () => {
    for (const any_second of [{ enabled: false }, { enabled: true, drill_schedule: "off" }]) {
      const { at } = schedule(undefined, { changes: { ...changes, any_second } });
      await at(0);
      expect(await at(60 * 24 * 9)).not.toContain("second");
    }
  });
});
