import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeStateSchema } from "../../../src/model/node-state.ts";
import { sheet } from "../../../src/cli/cluster/sheet.ts";
import { statusDocumentSchema, type StatusDocument } from "../../../src/cluster/documents/status.ts";
import { statusOf } from "../../../src/cluster/status.ts";
import { showBytes, showSeconds, showShare } from "../../../src/model/quantities.ts";
import { warningCodes } from "../../../src/model/troubles/troubles.ts";
import { warning, warningInDocument } from "../../../src/model/warnings.ts";
import {
  account,
  agentOf,
  cluster,
  GB,
  MB,
  NOW,
  primaryFacts,
  replicaFacts,
  seen,
  silent,
  slot,
  standby,
  SYSTEM_IDENTIFIER,
} from "../../support/observations.ts";

type BackupProof = NonNullable<StatusDocument["backups"]>["proofs"][number];

const PLAIN = { colours: false, width: 100 };

function drawn(changes: Parameters<typeof cluster>[0] = {}): string {
  return sheet(statusOf(cluster(changes)), PLAIN);
}

describe("the sheet", () => {
  test("of a healthy cluster says all at a glance", () => {
    expect(drawn()).toBe(
      [
        "prod  ● OK   PostgreSQL 15.18 · timeline 4 · 38.2 GB",
        "    NODE  ROLE     STATE      LAG          SLOT  DISK  POOL",
        " ●  pg1   primary  running    –            –     60 %  –",
        " └● pg2   replica  streaming  0 B / 0.0 s  ok    60 %  yes",
        "Write   127.0.0.1:5436 → pg1",
        "Read    127.0.0.1:5435 → pg2 (bounded)",
        "● All is well.",
      ].join("\n"),
    );
  });

  test("says which databases have no backup yet, and not that all is well", () => {
    const text = sheet({ ...statusOf(cluster()), not_backed_up: ["shop", "crm"] }, PLAIN);
    expect(text).toContain("● All else is well: shop, crm have no backup yet.");
    expect(text).not.toContain("All is well");
  });

  test("of a cluster that was stopped is no alarm", () => {
    const at = "2026-11-22T09:30:00.000Z";
    const record = { primary: "pg1", systemIdentifier: SYSTEM_IDENTIFIER, stopped: { at, by: "mitchell" } };
    const observations = [silent("pg1", "not_running"), silent("pg2", "not_running")];
    const text = drawn({ record, observations, agent: undefined, answers: false });
    expect(text.split("\n")[0]).toBe("prod  ○ STOPPED");
    expect(text).toContain("Next: odoo-pg up");
  });

  test("names the address of the console where it is served", () => {
    const url = "http://127.0.0.1:5050/";
    const served = (problem: string | null): string =>
      drawn({ agent: agentOf(["pg1", "pg2"], { console: { url, problem } }) });
    expect(served(null).split("\n")).toContain(`Console ${url}`);
    expect(served("port 5050 of 127.0.0.1 is taken")).not.toContain(`Console ${url}`);
  });

  test("of a cluster in trouble marks the node, and ends with what to do", () => {
    const names = ["pg1", "pg2", "pg3"];
    const primary = primaryFacts({
      standbys: [standby("pg2"), standby("pg3")],
      slots: [slot("pg2"), slot("pg3", { behind: 3174 * MB })],
    });
    const late = replicaFacts({ behind: 212 * MB, last_replay_at: NOW - 41_000 });
    const text = drawn({
      nodes: names,
      observations: [seen("pg1", primary), seen("pg2", replicaFacts()), seen("pg3", late)],
      agent: agentOf(names, { pool: ["pg2"] }),
      disks: { pg1: 0.61, pg2: 0.6, pg3: 0.88 },
    });
    expect(text).toBe(
      [
        "prod  ▲ WARNING (2)   PostgreSQL 15.18 · timeline 4 · 38.2 GB",
        "    NODE  ROLE     STATE      LAG            SLOT          DISK  POOL",
        " ●  pg1   primary  running    –              –             61 %  –",
        " ├● pg2   replica  streaming  0 B / 0.0 s    ok            60 %  yes",
        " └▲ pg3   replica  streaming  212 MB / 41 s  keeps 3.1 GB  88 %  no",
        "Write   127.0.0.1:5436 → pg1",
        "Read    127.0.0.1:5435 → pg2 (bounded)",
        "▲ The disk of pg3 is 88 % full: 12 GB left. Make room, or move the data to a larger disk.",
        "  Next: df -h /var/lib/odoo-pg/prod/nodes/pg3/data",
        "▲ pg3 is 212 MB / 41 s behind (limit 16 MB): it serves no reads until it has caught up.",
        "  Next: odoo-pg status --watch",
      ].join("\n"),
    );
  });

  test("prints when a dead node was last seen, with the day when that was another one", () => {
    const at = new Date(2026, 10, 22, 9, 41).getTime();
    const lastSeen = (time: number): string =>
      sheet(
        {
          ...statusOf(cluster({ observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")] })),
          at: new Date(at).toISOString(),
          nodes: statusOf(
            cluster({
              observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")],
              agent: agentOf(["pg1", "pg2"], { nodes: [account("pg2", { last_seen: time })] }),
            }),
          ).nodes,
        },
        PLAIN,
      );
    expect(lastSeen(at - 3 * 60_000)).toContain("stopped (last seen 09:38)  ?");
    expect(lastSeen(at - 24 * 3_600_000)).toContain("stopped (last seen 21 Nov 09:41)  ?");
  });

  test("marks what is not known with a question mark", () => {
    const text = drawn({
      observations: [silent("pg1", "never_started"), silent("pg2", "never_started")],
      record: undefined,
      agent: undefined,
      databaseBytes: undefined,
      answers: false,
      disks: {},
    });
    expect(text).toBe(
      [
        "prod  ✖ CRITICAL (1)   PostgreSQL ? · timeline ?",
        "    NODE  ROLE     STATE    LAG  SLOT  DISK  POOL",
        " ○  pg1   primary  stopped  –    –     ?     –",
        " └○ pg2   replica  stopped  ?    ?     ?     no",
        "Write   127.0.0.1:5436 (closed) → nobody",
        "Read    127.0.0.1:5435 (closed) → nobody (bounded)",
        "✖ Cluster prod was never started here (/var/lib/odoo-pg/prod holds none).",
        "  Next: odoo-pg up",
      ].join("\n"),
    );
  });

  test("ends with the worst warning", () => {
    const lines = drawn({ disks: { pg1: 0.86, pg2: 0.97 } }).split("\n");
    expect(lines.at(-2)).toMatch(/^✖ The disk of pg2 is 97 % full/);
    expect(lines.at(-1)).toMatch(/^ {2}Next: df -h/);
  });

  test("says where reads go when no replica is in the pool", () => {
    const text = drawn({ agent: agentOf(["pg1", "pg2"], { pool: [] }) });
    expect(text).toContain("→ pg1, as no replica is in the pool (bounded)");
    const alone = drawn({ nodes: ["pg1"], agent: agentOf(["pg1"], { pool: [] }) });
    expect(alone).toContain("→ pg1, the only node here (bounded)");
  });

  test("says why a replica outside the pool serves no reads, when nothing else does", () => {
    const names = ["pg1", "pg2", "pg3"];
    const agent = agentOf(names, {
      pool: ["pg2"],
      nodes: [account("pg1"), account("pg2"), account("pg3", { out_of_pool: "is being worked on" })],
    });
    const facts = primaryFacts({ slots: [slot("pg2"), slot("pg3")] });
    const observations = [seen("pg1", facts), seen("pg2", replicaFacts()), seen("pg3", replicaFacts())];
    expect(drawn({ nodes: names, observations, agent })).toContain(
      "  pg3 serves no reads: is being worked on\n",
    );
  });

  test("calls nothing good or proven where there is no database to back up", () => {
    const backups = {
      last_good_at: null,
      age_seconds: null,
      databases: 0,
      size_bytes: 0,
      last_drill_at: "2026-01-01T03:00:00.000Z",
      last_drill_ok: true,
      proofs: [] as BackupProof[],
    };
    const line = (more: Partial<typeof backups>): string | undefined =>
      sheet({ ...statusOf(cluster()), backups: { ...backups, ...more } }, PLAIN)
        .split("\n")
        .find((text) => text.startsWith("Backups"));
    expect(line({})).toBe("Backups there is no database to back up");
    expect(line({ size_bytes: 2 * GB })).toBe(
      "Backups there is no database to back up · 2 GB of earlier backups",
    );
    expect(line({ databases: 1 })).toContain("never proven by a restore");
  });

  test("tells the oldest proof of all databases, which was never proven, and which failed", () => {
    const proof = (database: string, proven_at: string | null, failed_at: string | null = null) => ({
      database,
      proven_at,
      failed_at,
    });
    const words = (...proofs: BackupProof[]): string => {
      const backups = {
        last_good_at: "2026-01-03T03:00:00.000Z",
        age_seconds: 60,
        databases: proofs.length,
        size_bytes: GB,
        last_drill_at: "2026-01-02T03:00:00.000Z",
        last_drill_ok: true,
        proofs,
      };
      return sheet({ ...statusOf(cluster()), backups }, PLAIN).replaceAll(/\s+/g, " ");
    };
    const [shop, crm] = [proof("shop", "2026-01-01T03:00:00.000Z"), proof("crm", "2026-01-02T03:00:00.000Z")];
    expect(words(crm, shop)).toContain("· proven by a restore on 2026-01-01");
    expect(words(crm, shop, proof("new", null))).toContain("· 1 of 3 databases never proven by a restore");
    expect(words(crm, { ...shop, failed_at: "2026-01-02T03:00:00.000Z" })).toContain(
      "· restore of shop FAILED on 2026-01-02",
    );
  });

  test("says what the agent works on", () => {
    const agent = agentOf(["pg1", "pg2"], { operation: "up" });
    expect(drawn({ agent })).toContain("Agent   is working on: odoo-pg up\n");
  });

  test("keeps the lines of a server's own words, without what would take over the terminal", () => {
    const failure = "Node pg2 does not start. The server's last words:\n  \u001b[2JFATAL:\u0007 no";
    const agent = agentOf(["pg1", "pg2"], { nodes: [account("pg1"), account("pg2", { failure })] });
    const text = drawn({
      observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")],
      agent,
    });
    expect(text).toContain(
      "▲ Node pg2 does not start. The server's last words:\n    \\u001b[2JFATAL:\\u0007 no\n  Next:",
    );
  });

  test("has the same words with and without colours", () => {
    const status = statusOf(cluster({ disks: { pg1: 0.86, pg2: 0.97 } }));
    const coloured = sheet(status, { ...PLAIN, colours: true });
    expect(coloured).not.toBe(sheet(status, PLAIN));
    expect(coloured.replaceAll(new RegExp(`${String.fromCodePoint(27)}\\[\\d+m`, "g"), "")).toBe(
      sheet(status, PLAIN),
    );
  });
});

const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/).filter((text) => !/null|undefined/.test(text));
const bytes = fc.option(fc.nat({ max: 2 ** 50 }));
const words = fc
  .array(fc.string({ maxLength: 20 }), { maxLength: 40 })
  .map((parts) => parts.join(" "))
  .filter((text) => !/null|undefined|NaN/.test(text));
const moment = fc
  .date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })
  .map((date) => date.toISOString());
const codes = warningCodes();

const node = fc.record({
  name,
  role: fc.constantFrom("primary" as const, "replica" as const),
  state: fc.constantFrom(...nodeStateSchema.options),
  host: fc.constant("127.0.0.1"),
  port: fc.nat({ max: 65_535 }),
  timeline: fc.option(fc.nat()),
  lag_bytes: bytes,
  lag_seconds: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true })),
  slot: fc.option(
    fc.record({
      state: fc.constantFrom(
        "ok" as const,
        "inactive" as const,
        "unreserved" as const,
        "lost" as const,
        "missing" as const,
      ),
      kept_bytes: bytes,
    }),
  ),
  disk_used_ratio: fc.option(fc.double({ min: 0, max: 1, noNaN: true })),
  in_pool: fc.boolean(),
  reason: fc.option(words),
  last_seen: fc.option(moment),
});

const waiting = fc.option(
  fc.record({ clients: fc.nat(), longest_seconds: fc.double({ min: 0, max: 600, noNaN: true }) }),
);

const pooler = fc.option(
  fc.record({
    answers: fc.boolean(),
    clients: fc.option(fc.nat()),
    servers_active: fc.option(fc.nat()),
    servers_idle: fc.option(fc.nat()),
  }),
);

const documents: fc.Arbitrary<StatusDocument> = fc.record({
  version: fc.constant(1 as const),
  cluster: name,
  at: moment,
  window: fc.option(
    fc.record({
      from: fc.option(moment),
      to: fc.option(moment),
      gaps: fc.array(fc.record({ from: moment, to: moment }), { maxLength: 3 }),
      archiving: fc.boolean(),
      base_backups: fc.nat(),
    }),
  ),
  second_proven: fc.option(
    fc.record({
      proven_at: fc.option(moment),
      second: fc.option(moment),
      seconds: fc.option(fc.nat()),
      databases: fc.option(fc.nat()),
      relations: fc.option(fc.nat()),
      failed_at: fc.option(moment),
    }),
  ),
  attachments_kept_at: fc.option(moment),
  copies: fc.array(fc.record({ name, copied_at: fc.option(moment), error: fc.option(fc.string()) }), {
    maxLength: 3,
  }),
  verdict: fc.constantFrom("ok" as const, "warning" as const, "critical" as const),
  postgres_version: fc.option(fc.constant("17.2")),
  timeline: fc.option(fc.nat()),
  database_bytes: bytes,
  not_backed_up: fc.array(name, { maxLength: 5 }),
  nodes: fc.array(node, { minLength: 1, maxLength: 5 }),
  endpoints: fc.record({
    read: fc.record({
      host: fc.constantFrom("127.0.0.1", "::1"),
      port: fc.nat({ max: 65_535 }),
      answers: fc.option(fc.boolean()),
      waiting,
      pooler,
      consistency: fc.constantFrom("eventual" as const, "bounded" as const, "read-your-writes" as const),
      pool: fc.array(name, { maxLength: 5 }),
    }),
    write: fc.record({
      host: fc.constantFrom("127.0.0.1", "::1"),
      port: fc.nat({ max: 65_535 }),
      answers: fc.option(fc.boolean()),
      waiting,
      pooler,
      node: fc.option(name),
    }),
  }),
  agent: fc.record({
    running: fc.boolean(),
    pid: fc.option(fc.nat()),
    operation: fc.option(fc.constantFrom("up", "down")),
  }),
  console: fc.option(fc.record({ url: fc.constant("http://127.0.0.1:5050/"), answers: fc.boolean() })),
  backups: fc.option(
    fc.record({
      last_good_at: fc.option(moment),
      age_seconds: fc.option(fc.nat()),
      databases: fc.nat(),
      size_bytes: fc.nat({ max: 2 ** 50 }),
      last_drill_at: fc.option(moment),
      last_drill_ok: fc.option(fc.boolean()),
      proofs: fc.array(
        fc.record({ database: words, proven_at: fc.option(moment), failed_at: fc.option(moment) }),
        { maxLength: 3 },
      ),
    }),
  ),
  warnings: fc.array(
    fc
      .record({ code: fc.constantFrom(...codes), message: words, next: words })
      .map(({ code, message, next }) =>
        warningInDocument(warning(code, { message: `m ${message}`, next: `n ${next}` }), undefined),
      ),
    { maxLength: 4 },
  ),
});

describe("whatever the status is, the sheet", () => {
  test("never shows a missing value as a word of the program, nor an empty cell", () => {
    fc.assert(
      fc.property(documents, (status) => {
        expect(statusDocumentSchema.safeParse(status).success).toBe(true);
        const text = sheet(status, PLAIN);
        expect(text).not.toMatch(/undefined|NaN|null|\[object/);
        const rows = text.split("\n").slice(2, 2 + status.nodes.length);
        for (const row of rows) expect(row.slice(4).trim().split(/ {2,}/)).toHaveLength(7);
      }),
    );
  });

  test("keeps to the width, except where one word is longer or a command is to be copied", () => {
    fc.assert(
      fc.property(documents, fc.integer({ min: 60, max: 100 }), (status, width) => {
        const [headline = "", ...lines] = sheet(status, { colours: false, width }).split("\n");
        expect(headline.length).toBeLessThanOrEqual(110);
        const table = lines.slice(0, status.nodes.length + 1);
        for (const line of table) expect(line.length).toBeLessThanOrEqual(150);
        for (const line of lines.slice(table.length)) {
          const single = !line.slice(4).trim().includes(" ");
          if (!single && !line.startsWith("  Next: ") && !line.startsWith("Write ")) {
            const longest = Math.max(...line.split(" ").map((word) => word.length));
            expect(line.length).toBeLessThanOrEqual(Math.max(width, longest + 12));
          }
        }
      }),
    );
  });

  test("has its columns one below the other", () => {
    fc.assert(
      fc.property(documents, (status) => {
        const [, heading = "", ...rows] = sheet(status, PLAIN).split("\n");
        for (const column of ["ROLE", "STATE", "LAG", "SLOT", "DISK", "POOL"]) {
          const at = heading.indexOf(column);
          for (const row of rows.slice(0, status.nodes.length)) {
            expect(row.slice(at - 2, at)).toBe("  ");
            expect(row[at]).not.toBe(" ");
          }
        }
      }),
    );
  });
});

describe("quantities", () => {
  test.each([
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 kB"],
    [16 * MB, "16 MB"],
    [212 * MB, "212 MB"],
    [1024 * MB - 1, "1 GB"],
    [3.1 * GB, "3.1 GB"],
    [38.2 * GB, "38.2 GB"],
    [99.97 * GB, "100 GB"],
    [2 ** 60, "1024 PB"],
  ])("%d bytes are %s", (input, text) => {
    expect(showBytes(input)).toBe(text);
  });

  test.each([
    [0, "0.0 s"],
    [9.94, "9.9 s"],
    [9.96, "10 s"],
    [41, "41 s"],
    [600, "10 min"],
    [19 * 3600, "19 h"],
    [3 * 86_400, "3 days"],
  ])("%d seconds are %s", (input, text) => {
    expect(showSeconds(input)).toBe(text);
  });

  test.each([
    [0, "0 %"],
    [0.61, "61 %"],
    [0.9999, "99 %"],
    [1, "100 %"],
  ])("a share of %d is %s", (input, text) => {
    expect(showShare(input)).toBe(text);
  });
});
