import { join } from "node:path";
import { execa } from "execa";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareSettings, type Present } from "../../src/advice/tune/advice.ts";
import { isTuned, parseSetting } from "../../src/advice/tune/compare.ts";
import { type Figures, planLoad, type LoadOptions } from "../../src/config/settings/load.ts";
import { odooLines } from "../../src/advice/tune/odoo-lines.ts";
import { claimedBytes } from "../../src/config/settings/advised.ts";
import { defaultSettings, settingsToKeep, tunedSettings } from "../../src/config/settings/table.ts";
import { installation, serverOwner } from "../postgres/throwaway-node.ts";

const MB = 1024 ** 2;
const GB = 1024 ** 3;

const figures: Figures = {
  memoryBytes: 16 * GB,
  cpus: 4,
  disk: "ssd",
  diskBytes: 400 * GB,
  nodes: 2,
  odooHere: true,
  readsAhead: true,
};

const anyFigures: fc.Arbitrary<Figures> = fc.record({
  memoryBytes: fc.integer({ min: 512, max: 4 * 1024 * 1024 }).map((megabytes) => megabytes * MB),
  cpus: fc.oneof(fc.integer({ min: 1, max: 256 }), fc.double({ min: 0.1, max: 8, noNaN: true })),
  disk: fc.constantFrom("ssd", "hdd"),
  diskBytes: fc.integer({ min: 1, max: 100_000 }).map((gigabytes) => gigabytes * GB),
  nodes: fc.integer({ min: 1, max: 5 }),
  odooHere: fc.boolean(),
  readsAhead: fc.boolean(),
  sharedBytes: fc.option(
    fc.integer({ min: 1, max: 100_000 }).map((megabytes) => megabytes * MB),
    { nil: undefined },
  ),
});
const anyOptions: fc.Arbitrary<LoadOptions> = fc.record(
  { workers: fc.integer({ min: 0, max: 1000 }), users: fc.integer({ min: 1, max: 100_000 }) },
  { requiredKeys: [] },
);
const anyMajor = fc.constantFrom(undefined, 13, 14, 15, 16, 17, 18);

/** What all of PostgreSQL 13 to 18 take: pg_settings' min_val and max_val, in the unit of the setting. */
const RANGES: Readonly<Record<string, readonly [number, number, number]>> = {
  max_connections: [1, 262_143, 1],
  shared_buffers: [16, 1_073_741_823, 8192],
  effective_cache_size: [1, 2_147_483_647, 8192],
  work_mem: [64, 2_147_483_647, 1024],
  // PostgreSQL 13 to 16; later ones take from 64 kB on.
  maintenance_work_mem: [1024, 2_147_483_647, 1024],
  random_page_cost: [0, 1e308, 1],
  effective_io_concurrency: [0, 1000, 1],
  max_locks_per_transaction: [10, 2_147_483_647, 1],
  idle_in_transaction_session_timeout: [0, 2_147_483_647, 1],
  max_slot_wal_keep_size: [-1, 2_147_483_647, MB],
  max_standby_streaming_delay: [-1, 2_147_483_647, 1],
  max_wal_size: [2, 2_147_483_647, MB],
  checkpoint_timeout: [30, 86_400, 1000],
  autovacuum_vacuum_scale_factor: [0, 100, 1],
  autovacuum_analyze_scale_factor: [0, 100, 1],
  autovacuum_vacuum_cost_limit: [-1, 10_000, 1],
  max_worker_processes: [0, 262_143, 1],
  max_parallel_workers: [0, 1024, 1],
  max_parallel_workers_per_gather: [0, 1024, 1],
};

const settingsOf = (of: Figures, wish: LoadOptions, major?: number) =>
  new Map(tunedSettings(of, planLoad(of, wish), major).map((setting) => [setting.name, setting]));

describe("every setting", () => {
  test("has a value that PostgreSQL 13 to 18 take, and a reason", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, anyMajor, (of, wish, major) => {
        for (const { name, value, unit, reason } of settingsOf(of, wish, major).values()) {
          expect(reason.length).toBeGreaterThan(10);
          if (value === "on" || value === "off") continue;
          const [least, most, size] = RANGES[name] ?? [];
          const number = parseSetting(value, unit);
          expect(number, name).toBeGreaterThanOrEqual((least ?? Number.NaN) * (size ?? Number.NaN));
          expect(number, name).toBeLessThanOrEqual((most ?? Number.NaN) * (size ?? Number.NaN));
        }
      }),
    );
  });

  test("is as it should be once it has its value, and not before where PostgreSQL's own is another", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, anyMajor, (of, wish, major) => {
        for (const setting of settingsOf(of, wish, major).values()) {
          expect(isTuned(setting, setting.value), setting.name).toBe(true);
          for (const bound of [setting.from, setting.to])
            if (bound !== undefined) expect(isTuned(setting, bound), setting.name).toBe(true);
        }
      }),
    );
    const settings = settingsOf(figures, {});
    for (const name of ["jit", "work_mem", "max_connections", "idle_in_transaction_session_timeout"]) {
      const setting = settings.get(name);
      expect(setting && isTuned(setting, setting.stock), name).toBe(false);
    }
  });

  test("is what PostgreSQL itself takes: name, value, and whether it needs a restart", async () => {
    const [{ binDir }, owner] = await Promise.all([installation(), serverOwner()]);
    const { stdout } = await execa(join(binDir, "postgres"), ["--describe-config"], { ...owner });
    // Columns: name, context, group, type, reset value, least, most, description.
    const rows = new Map(stdout.split("\n").map((line) => [line.split("\t")[0], line.split("\t")] as const));
    for (const { name, restart } of settingsOf(figures, {}).values()) {
      const [, context, , , , least, most] = rows.get(name) ?? [];
      expect(context === "postmaster", name).toBe(restart);
      const [lowest, highest] = RANGES[name] ?? [];
      if (lowest !== undefined) expect(Number(least), name).toBeLessThanOrEqual(lowest);
      if (highest !== undefined) expect(Number(most), name).toBeGreaterThanOrEqual(highest);
    }
  });
});

describe("the memory", () => {
  test("that settings can claim together stays below the node's share, or the advice says that it is short", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, (of, wish) => {
        const load = planLoad(of, wish);
        expect(load.nodeBytes * of.nodes + load.odooBytes).toBeLessThan(of.memoryBytes);
        const short = load.notes.some((note) => note.includes("are short for"));
        expect(short || claimedBytes(of, load) <= load.nodeBytes).toBe(true);
      }),
    );
  });

  test("never makes a setting smaller by being more", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, fc.integer({ min: 1, max: 100_000 }), (of, wish, more) => {
        const less = settingsOf(of, wish);
        const larger = settingsOf({ ...of, memoryBytes: of.memoryBytes + more * MB }, wish);
        for (const [name, { value, unit }] of less) {
          const small = parseSetting(value, unit);
          const big = parseSetting(larger.get(name)?.value ?? "", unit);
          if (small !== undefined) expect(big, name).toBeGreaterThanOrEqual(small);
        }
      }),
    );
  });

  test("is shared by the nodes of the host", () => {
    const buffers = (nodes: number): number =>
      parseSetting(settingsOf({ ...figures, nodes }, {}).get("shared_buffers")?.value ?? "", "8kB") ?? 0;
    expect(buffers(2)).toBeLessThanOrEqual(buffers(1) / 2);
    expect(buffers(4)).toBeLessThanOrEqual(buffers(2) / 2);
  });

  test("of a container for parallel queries has room for the hash tables of one, with what PostgreSQL takes for each", () => {
    const workMem = (sharedBytes: number): number =>
      parseSetting(settingsOf({ ...figures, sharedBytes }, {}).get("work_mem")?.value ?? "", "kB") ?? 0;
    // Two helpers and the statement's own process, twice work_mem each.
    for (const shared of [64 * MB, 256 * MB, GB, 64 * GB])
      expect(workMem(shared) * 3 * 2).toBeLessThanOrEqual(shared / 2);
    expect(workMem(64 * GB)).toBe(workMem(Infinity));
    expect(workMem(64 * MB)).toBeLessThan(workMem(GB));
  });

  test("goes to Odoo by half at most, and to nobody else where Odoo runs elsewhere", () => {
    expect(planLoad({ ...figures, odooHere: false }, { workers: 40 }).odooBytes).toBe(0);
    const small = planLoad({ ...figures, memoryBytes: 2 * GB }, { users: 60 });
    expect(small.odooBytes).toBe(GB);
    expect(small.notes.join(" ")).toContain("more than half of the memory");
  });
});

describe("Odoo's lines", () => {
  test("fit max_connections, by the rule that Odoo counts its pools by", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, (of, wish) => {
        const load = planLoad(of, wish);
        const lines = new Map(odooLines(of, load).map(({ name, value }) => [name, Number(value)]));
        const line = (name: string): number => lines.get(name) ?? Number.NaN;
        const processes = line("workers") === 0 ? 1 : line("workers") + line("max_cron_threads");
        const gevent = lines.get("db_maxconn_gevent") ?? 0;
        const each = processes * line("db_maxconn") + gevent + 1;
        const connections = Number(settingsOf(of, wish).get("max_connections")?.value);
        // The read endpoint leads to the primary too, when there is no replica.
        expect(2 * each + 15 + 3).toBeLessThanOrEqual(connections);
      }),
    );
  });

  test("have limits in Odoo's own order, below those of PostgreSQL", () => {
    fc.assert(
      fc.property(anyFigures, anyOptions, (of, wish) => {
        const lines = new Map(
          odooLines(of, planLoad(of, wish)).map(({ name, value }) => [name, Number(value)]),
        );
        const line = (name: string): number => lines.get(name) ?? Number.NaN;
        for (const value of lines.values()) expect(Number.isSafeInteger(value)).toBe(true);
        expect(line("limit_memory_hard")).toBeGreaterThan(line("limit_memory_soft"));
        expect(line("limit_time_real")).toBeGreaterThan(line("limit_time_cpu"));
        const idle = settingsOf(of, wish).get("idle_in_transaction_session_timeout");
        expect(parseSetting(idle?.value ?? "", "ms")).toBeGreaterThan(line("limit_time_real_cron") * 1000);
      }),
    );
  });

  test("count workers by CPUs, by people, or as given", () => {
    expect(planLoad(figures, {}).workers).toBe(9);
    expect(planLoad(figures, { users: 20 }).workers).toBe(4);
    expect(planLoad(figures, { users: 2 }).workers).toBe(2);
    expect(planLoad(figures, { workers: 3 }).workers).toBe(3);
    const many = planLoad(figures, { users: 600 });
    expect(many.workers).toBe(9);
    expect(many.notes.join(" ")).toContain("600 people at once want 100 workers");
    // On a small host fewer fit than the CPUs would carry.
    expect(planLoad({ ...figures, memoryBytes: 4 * GB }, {}).workers).toBe(3);
    expect(planLoad(figures, { workers: 0 }).workers).toBe(0);
  });
});

describe("a value that is there already", () => {
  const present = (
    configured: Readonly<Record<string, string>>,
    running?: Record<string, string>,
  ): Present => ({
    configured: new Map(Object.entries(configured)),
    environment: new Map(),
    running:
      running && new Map(Object.entries(running).map(([name, shown]) => [name, { shown, altered: false }])),
  });
  const rowsFor = (seen: Present) =>
    new Map(
      compareSettings(tunedSettings(figures, planLoad(figures, {}), 15), seen).map((row) => [row.name, row]),
    );

  test("is left alone where it is as good: more connections and locks, a smaller scale factor", () => {
    const rows = rowsFor(
      present({
        max_connections: "500",
        max_locks_per_transaction: "512",
        autovacuum_vacuum_scale_factor: "0.02",
        max_wal_size: "16384",
        max_standby_streaming_delay: "45s",
        jit: "false",
        random_page_cost: "1.10",
        idle_in_transaction_session_timeout: "3600000",
      }),
    );
    for (const name of [
      "max_connections",
      "max_locks_per_transaction",
      "autovacuum_vacuum_scale_factor",
      "max_wal_size",
      "max_standby_streaming_delay",
      "jit",
      "random_page_cost",
      "idle_in_transaction_session_timeout",
    ])
      expect(rows.get(name), name).toMatchObject({ differs: false, to_write: false });
  });

  test("is as it should be where up has chosen it on the same machine", () => {
    fc.assert(
      fc.property(anyFigures, anyMajor, (of, major) => {
        const chosen = defaultSettings(settingsToKeep(of, major), {
          diskBytes: of.diskBytes,
          platform: "linux",
          major,
        });
        const configured = Object.fromEntries(
          Object.entries(chosen).map(([name, { value }]) => [name, value] as const),
        );
        const rows = compareSettings(tunedSettings(of, planLoad(of, {}), major), present(configured));
        expect(rows.filter(({ differs, to_write }) => differs || to_write)).toEqual([]);
      }),
    );
  });

  test("differs where it is a risk: no limit for slots, for idle transactions or for replay", () => {
    const rows = rowsFor(
      present({
        max_slot_wal_keep_size: "-1",
        idle_in_transaction_session_timeout: "0",
        max_standby_streaming_delay: "-1",
        work_mem: "512MB",
      }),
    );
    for (const name of [
      "max_slot_wal_keep_size",
      "idle_in_transaction_session_timeout",
      "max_standby_streaming_delay",
      "work_mem",
    ])
      expect(rows.get(name), name).toMatchObject({ differs: true, to_write: true });
  });

  test("that is written but does not run yet differs, and is not written again", () => {
    const rows = rowsFor(present({ max_connections: "600" }, { max_connections: "100" }));
    expect(rows.get("max_connections")).toMatchObject({ now: "100", differs: true, to_write: false });
  });
});
