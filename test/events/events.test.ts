import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventOf, lineOf, type NewEvent } from "../../src/events/event.ts";
import { journalFile, NewestEvents, readEvents, recorded, recordEvent } from "../../src/events/journal.ts";
import { runEvent } from "../../src/events/of-backups.ts";
import { nodeEvents, type NodePast } from "../../src/events/of-nodes.ts";
import { changedSettings, operationEvent, upEvent } from "../../src/events/of-operations.ts";
import { momentOf } from "../../src/events/since.ts";
import { OdooPgError } from "../../src/errors.ts";
import type { NodeObservation } from "../../src/model/observation.ts";
import { identified, NOW, primaryFacts, seen } from "../support/observations.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const backup = (text: string): NewEvent => ({ kind: "backup", by: "schedule", text });

describe("a line of the journal", () => {
  test("holds the event, whatever is in it, in less than 4 kB", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 5000 }),
        fc.string({ maxLength: 300 }),
        (text, by) => {
          const line = lineOf({ kind: "job", by, text, database: by }, NOW);
          expect(line).not.toContain("\n");
          expect(Buffer.byteLength(line)).toBeLessThan(4096);
          expect(eventOf(line)).toMatchObject({ kind: "job", at: new Date(NOW).toISOString(), node: null });
        },
      ),
    );
  });

  test("that is damaged is no event", () => {
    expect(eventOf('{"at":"2026-11-22T09:')).toBeUndefined();
    expect(eventOf('{"at":"yesterday","kind":"backup","by":"x","text":"y"}')).toBeUndefined();
  });
});

describe("the journal", () => {
  test("keeps events in order and gives those since a moment", () => {
    const folder = temporaryFolder();
    for (const text of ["one", "two", "three"]) recordEvent(folder, backup(text), undefined);
    const all = readEvents(folder, 0);
    expect(all.map(({ text }) => text)).toEqual(["one", "two", "three"]);
    expect(readEvents(folder, Date.parse(all[2]?.at ?? "") + 1)).toEqual([]);
  });

  test("a line left half written by a killed process costs no other", () => {
    const folder = temporaryFolder();
    recordEvent(folder, backup("before"), undefined);
    appendFileSync(journalFile(folder), '{"at":"2026-11-22T09:4');
    recordEvent(folder, backup("after"), undefined);
    expect(readEvents(folder, 0).map(({ text }) => text)).toEqual(["before", "after"]);
  });

  test("never grows beyond its bound, and keeps the newest", () => {
    const folder = temporaryFolder();
    for (let count = 0; count < 5000; count += 1)
      recordEvent(folder, backup(`${count} ${"x".repeat(900)}`), undefined);
    const bytes = statSync(journalFile(folder)).size + statSync(`${journalFile(folder)}.1`).size;
    expect(bytes).toBeLessThan(2.1 * 1024 * 1024);
    const kept = readEvents(folder, 0);
    expect(kept.at(-1)?.text).toMatch(/^4999 /);
    expect(kept.length).toBeGreaterThan(1000);
  });

  test("that cannot be written stops nobody", () => {
    recordEvent(join(temporaryFolder(), "nowhere"), backup("lost"), undefined);
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    recordEvent(file, backup("lost"), undefined);
    expect(readEvents(file, 0)).toEqual([]);
    expect(readFileSync(file, "utf8")).toBe("");
  });

  test("is read again by the console only when it was written", async () => {
    const folder = temporaryFolder();
    const newest = new NewestEvents(folder, 2);
    expect(await newest.read()).toEqual([]);
    for (const text of ["one", "two", "three"]) recordEvent(folder, backup(text), undefined);
    const first = await newest.read();
    expect(first.map(({ text }) => text)).toEqual(["three", "two"]);
    expect(await newest.read()).toBe(first);
  });

  test("tells how something ended, but not that another one was at the same, nor what was typed wrongly", async () => {
    const stateDir = temporaryFolder();
    const order = { stateDir, owner: undefined, kind: "restore", by: "ada", database: "shop" } as const;
    await recorded({ ...order, told: () => ({ ...order, text: "shop was restored" }) }, async () => true);
    for (const code of ["command_failed", "usage", "locked"] as const) {
      const failing = recorded({ ...order, told: () => undefined }, async () => {
        throw new OdooPgError(code, { message: "shop already exists." });
      });
      await expect(failing).rejects.toThrow("already exists");
    }
    expect(readEvents(stateDir, 0)).toMatchObject([
      { kind: "restore", by: "ada", text: "shop was restored" },
      { by: "ada", database: "shop", text: "restore did not succeed: shop already exists." },
    ]);
  });
});

describe("the coming and going of a node", () => {
  const STARTED = primaryFacts().started_at;
  const silentSince = (lastSeen: number, at: number): NodeObservation => ({
    name: "pg1",
    at,
    answer: { kind: "none", silence: { kind: "not_running" } },
    lastSeen,
  });
  const story = (looks: readonly NodeObservation[]): string[] => {
    let past: NodePast | undefined;
    return looks.flatMap((look) => {
      const told = nodeEvents(past, look);
      ({ past } = told);
      return told.event ? [told.event.text] : [];
    });
  };
  const up = (startedAt = STARTED, at = NOW): NodeObservation => ({
    ...seen("pg1", primaryFacts({ started_at: startedAt })),
    at,
  });

  test("is told once each, a short silence not at all", () => {
    expect(story([up(), silentSince(NOW, NOW + 1000), up()])).toEqual([]);
    expect(
      story([
        up(),
        silentSince(NOW, NOW + 2500),
        silentSince(NOW, NOW + 9000),
        up(NOW / 1000 + 9, NOW + 11_300),
        up(NOW / 1000 + 9, NOW + 12_300),
      ]),
    ).toEqual([
      "pg1 was lost: is not running",
      "pg1 (primary) was restarted: it was silent for 11 s, 9.0 s until its server was started and 2.3 s until that answered",
    ]);
    expect(story([up(), silentSince(NOW, NOW + 2500), up(STARTED, NOW + 3000)])).toEqual([
      "pg1 was lost: is not running",
      "pg1 (primary) answers again: it was silent for 3.0 s",
    ]);
  });

  test("of somebody else's primary is told without knowing since when it runs", () => {
    const there = identified("upstream");
    expect(story([there, there])).toEqual([]);
    const back = { ...there, at: there.at + 4000 };
    const lost = { ...silentSince(there.at, there.at + 2500), name: "upstream" };
    expect(story([there, lost, back])).toEqual([
      "upstream was lost: is not running",
      "upstream (primary) answers again: it was silent for 4.0 s",
    ]);
  });

  test("a restart shows however short it was, and the first look tells nothing", () => {
    // By a clock that differs from this host's, the parts would be nonsense.
    expect(story([up(), up(STARTED + 5, NOW + 600)])).toEqual([
      "pg1 (primary) was restarted: it was silent for 0.6 s",
    ]);
    expect(story([silentSince(0, NOW), up()])).toEqual(["pg1 (primary) was started"]);
  });
});

describe("what is told", () => {
  test("of an operation: who is primary, after whom, and how long writes paused", () => {
    const entry = { kind: "switchover", from: "pg1", to: "pg2", writes_paused_ms: 302.6 };
    expect(operationEvent({ operation: "switchover" }, "ada", entry)).toMatchObject({
      kind: "switchover",
      by: "ada",
      node: "pg2",
      text: "pg2 is the primary now, after pg1; writes paused 303 ms",
    });
  });

  test("of a changed configuration: the names of settings, never their values", () => {
    const before = {
      cluster: "prod",
      postgres: { parameters: { work_mem: "4MB" } },
      nodes: [{ name: "pg1" }],
    };
    const after = {
      cluster: "prod",
      postgres: { parameters: { work_mem: "SECRET" } },
      nodes: [],
      listen: ["::"],
    };
    expect(changedSettings(before, after)).toEqual(["listen", "nodes", "postgres.parameters.work_mem"]);
    const { text } = upEvent("ada", "prod", before, after);
    expect(text).toBe("prod was brought up with other settings: listen, nodes, postgres.parameters.work_mem");
    expect(upEvent("ada", "prod", undefined, after).text).toBe("prod was started for the first time");
    expect(upEvent("ada", "prod", before, before).text).toContain("unchanged");
  });

  test("of a run of backups: what was made, and what failed", () => {
    const ok = {
      database: "shop",
      outcome: "ok",
      id: "shop_1",
      seconds: 3,
      size_bytes: 2048,
      error: null,
    } as const;
    const bad = { ...ok, database: "old", outcome: "failed", id: null, error: "no room" } as const;
    expect(runEvent({ kind: "backup", databases: [] }, "schedule")).toBeUndefined();
    expect(runEvent({ kind: "backup", databases: [ok] }, "schedule")?.text).toBe(
      "shop was backed up: shop_1 (3 s, 2 kB)",
    );
    expect(runEvent({ kind: "drill", databases: [bad] }, "ada")?.text).toBe(
      "drill did not succeed: old: no room",
    );
    expect(runEvent({ kind: "backup", databases: [ok, bad] }, "ada")?.text).toBe(
      "1 database backed up, 2 kB; 1 failed: old: no room",
    );
  });
});

test("--since takes lengths of time and dates, and refuses the rest", () => {
  expect(momentOf("90m", NOW)).toBe(NOW - 5_400_000);
  expect(momentOf("2d", NOW)).toBe(NOW - 172_800_000);
  expect(momentOf("2026-11-22T09:00Z", NOW)).toBe(Date.UTC(2026, 10, 22, 9));
  for (const wrong of ["", "yesterday", "24", "-3h", "12 h", "2026-99-01"])
    expect(() => momentOf(wrong, NOW), wrong).toThrow("--since");
});
