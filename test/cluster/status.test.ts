import { describe, expect, test } from "vitest";
import { odooPg } from "../../src/next-step.ts";
import { sheet } from "../../src/cli/cluster/sheet.ts";
import { mistakeIn } from "../support/command-lines.ts";
import type { DatabaseProof } from "../../src/model/backups/backup-report.ts";
import { statusDocumentSchema, type StatusDocument } from "../../src/cluster/documents/status.ts";
import { passesAtStart } from "../../src/cluster/commit-rules.ts";
import { statusOf } from "../../src/cluster/status.ts";
import type { WarningCode } from "../../src/model/troubles/troubles.ts";
import { severityOf, verdictOf } from "../../src/model/warnings.ts";
import {
  account,
  agentOf,
  cluster,
  GB,
  identified,
  MB,
  NOW,
  primaryFacts,
  replicaFacts,
  seen,
  silent,
  slot,
  standby,
  SYSTEM_IDENTIFIER,
} from "../support/observations.ts";
import { primary, replica, dead, hoursAgo, backups, causes } from "./status-causes.ts";

function statusWith(changes: Parameters<typeof cluster>[0] = {}): StatusDocument {
  return statusDocumentSchema.parse(statusOf(cluster(changes)));
}

function codes(status: StatusDocument): WarningCode[] {
  return status.warnings.map(({ code }) => code);
}

function nodeOf(status: StatusDocument, name: string): StatusDocument["nodes"][number] {
  const node = status.nodes.find((candidate) => candidate.name === name);
  if (!node) throw new Error(`no node ${name}`);
  return node;
}

function warningOf(status: StatusDocument, code: WarningCode): StatusDocument["warnings"][number] {
  const found = status.warnings.find((warning) => warning.code === code);
  if (!found) throw new Error(`no warning ${code}, only ${codes(status).join(", ")}`);
  return found;
}

/** The lines of each message of a sheet, without its next step. */
function messagesIn(text: string): string[][] {
  const messages: string[][] = [];
  let open = false;
  for (const line of text.split("\n")) {
    if (/^[▲✖] /.test(line)) messages.push([line]);
    else if (line.startsWith("  Next: ")) open = false;
    else if (open) messages.at(-1)?.push(line);
    if (/^[▲✖] /.test(line)) open = true;
  }
  return messages;
}

describe("a healthy cluster", () => {
  test("is ok, without warnings, and says everything", () => {
    expect(statusWith()).toEqual({
      version: 1,
      window: null,
      second_proven: null,
      attachments_kept_at: null,
      copies: [],
      cluster: "prod",
      at: new Date(NOW).toISOString(),
      verdict: "ok",
      postgres_version: "15.18",
      timeline: 4,
      database_bytes: 38.2 * GB,
      nodes: [
        {
          name: "pg1",
          role: "primary",
          state: "running",
          host: "127.0.0.1",
          port: 5433,
          timeline: 4,
          lag_bytes: null,
          lag_seconds: null,
          slot: null,
          disk_used_ratio: 0.6,
          in_pool: false,
          reason: null,
          last_seen: new Date(NOW).toISOString(),
        },
        {
          name: "pg2",
          role: "replica",
          state: "streaming",
          host: "127.0.0.1",
          port: 5434,
          timeline: 4,
          lag_bytes: 0,
          lag_seconds: 0,
          slot: { state: "ok", kept_bytes: 0 },
          disk_used_ratio: 0.6,
          in_pool: true,
          reason: null,
          last_seen: new Date(NOW).toISOString(),
        },
      ],
      endpoints: {
        read: {
          host: "127.0.0.1",
          port: 5435,
          answers: true,
          waiting: null,
          pooler: null,
          consistency: "bounded",
          pool: ["pg2"],
        },
        write: { host: "127.0.0.1", port: 5436, answers: true, waiting: null, pooler: null, node: "pg1" },
      },
      agent: { running: true, pid: 4711, operation: null },
      console: null,
      backups: null,
      not_backed_up: [],
      warnings: [],
    });
  });

  test("with a primary alone has no empty pool to warn of", () => {
    const status = statusWith({
      nodes: ["pg1"],
      observations: [seen("pg1", primaryFacts({ slots: [], standbys: [] }))],
      agent: agentOf(["pg1"], { pool: [] }),
    });
    expect(codes(status)).toEqual([]);
  });
});

describe("the state of a node", () => {
  const pg2 = (observation: Parameters<typeof cluster>[0]): string =>
    nodeOf(statusWith(observation), "pg2").state;
  const silence = silent("pg2", "not_running");
  const primary = seen("pg1", primaryFacts());

  test.each([
    ["streaming", [primary, seen("pg2", replicaFacts())], undefined],
    ["not streaming", [primary, seen("pg2", replicaFacts({ receiver_status: null }))], undefined],
    ["replay paused", [primary, seen("pg2", replicaFacts({ replay_paused: true }))], undefined],
    [
      "catching up",
      [seen("pg1", primaryFacts({ standbys: [standby("pg2", "catchup")] })), seen("pg2", replicaFacts())],
      undefined,
    ],
    ["starting", [primary, silent("pg2", "starting", "the database system is starting up")], undefined],
    ["starting", [primary, silence], { operation: "start" }],
    ["restarting", [primary, silence], { operation: "restart" }],
    ["seeding", [primary, silence], { operation: "seed" }],
    ["stopping", [primary, silence], { operation: "stop" }],
    ["stopping", [primary, silence], { operation: "remove" }],
    ["needs rejoin", [primary, silence], { waiting: { state: "needs rejoin", reason: "r", next: ["n"] } }],
    ["needs reseed", [primary, silence], { waiting: { state: "needs reseed", reason: "r", next: ["n"] } }],
    ["refused", [primary, silence], { waiting: { state: "refused", reason: "r", next: ["n"] } }],
    ["start fails", [primary, silence], { failure: "FATAL: x" }],
    ["stopped", [primary, silence], undefined],
    ["unreachable", [primary, silent("pg2", "timeout", "1 s")], undefined],
    ["unreachable", [primary], undefined],
  ] as const)("is %s", (state, observations, changes) => {
    const agent = agentOf(["pg1", "pg2"], { nodes: [account("pg1"), account("pg2", changes)] });
    expect(pg2({ observations, agent })).toBe(state);
  });

  test("follows what the server says, not what is recorded", () => {
    const status = statusWith({ observations: [seen("pg1", replicaFacts()), seen("pg2", primaryFacts())] });
    expect(status.nodes.map(({ role }) => role)).toEqual(["replica", "primary"]);
  });

  test("that does not answer keeps its recorded role and when it was last seen", () => {
    const agent = agentOf(["pg1", "pg2"], {
      nodes: [account("pg1"), account("pg2", { last_seen: NOW - 60_000 })],
    });
    const node = nodeOf(statusWith({ observations: [primary, silence], agent }), "pg2");
    expect(node).toMatchObject({
      role: "replica",
      timeline: null,
      lag_bytes: null,
      lag_seconds: null,
      reason: "is not running",
      last_seen: new Date(NOW - 60_000).toISOString(),
    });
  });

  test("has the slot that the primary holds for it", () => {
    const slotWith = (changes: Parameters<typeof slot>[1]): unknown =>
      nodeOf(
        statusWith({
          observations: [
            seen("pg1", primaryFacts({ slots: [slot("pg2", changes)] })),
            seen("pg2", replicaFacts()),
          ],
        }),
        "pg2",
      ).slot;
    expect(slotWith({ behind: 3 * MB })).toEqual({ state: "ok", kept_bytes: 3 * MB });
    expect(slotWith({ behind: MB, active: false })).toEqual({ state: "inactive", kept_bytes: MB });
    expect(slotWith({ behind: MB, wal_status: "unreserved" })).toEqual({
      state: "unreserved",
      kept_bytes: MB,
    });
    expect(slotWith({ wal_status: "lost" })).toEqual({ state: "lost", kept_bytes: null });
  });

  test("says why a replica is not in the pool", () => {
    const agent = agentOf(["pg1", "pg2"], {
      pool: [],
      nodes: [account("pg1"), account("pg2", { out_of_pool: "is being worked on" })],
    });
    expect(nodeOf(statusWith({ agent }), "pg2")).toMatchObject({
      in_pool: false,
      reason: "is being worked on",
    });
  });
});

describe("a primary that somebody else runs", () => {
  const followed = {
    nodes: ["upstream", "pg1"],
    record: { primary: "upstream", systemIdentifier: null },
    observations: [identified("upstream"), seen("pg1", replicaFacts({ behind: 1000, version: "16.4" }))],
  };

  test("runs and is the primary, with what it says of itself; nothing is said that it did not say", () => {
    const status = statusWith(followed);
    expect(codes(status)).toEqual([]);
    expect(status).toMatchObject({ postgres_version: "16.4", timeline: 4 });
    expect(nodeOf(status, "upstream")).toMatchObject({ role: "primary", state: "running", timeline: 4 });
    expect(nodeOf(status, "pg1")).toMatchObject({ role: "replica", state: "streaming", lag_bytes: 1000 });
    expect(nodeOf(status, "pg1").slot).toBeNull();
  });

  test("that holds another cluster's data is told", () => {
    const record = { primary: "upstream", systemIdentifier: "42" };
    expect(codes(statusWith({ ...followed, record }))).toContain("other_system_identifier");
  });

  test("that does not answer is down, and its replicas are read on", () => {
    const observations = [
      silent("upstream", "refused"),
      followed.observations[1] ?? silent("pg1", "refused"),
    ];
    const status = statusWith({ ...followed, observations });
    expect(codes(status)).toEqual(["primary_down"]);
    expect(nodeOf(status, "pg1").role).toBe("replica");
  });
});

test("a database that no run of backups has met is told of, unless it is not to be backed up", () => {
  const databases = ["crm", "shop"];
  const open = (backup: Readonly<Record<string, unknown>>): readonly string[] =>
    statusWith({ databases, backup }).not_backed_up;
  expect(open({})).toEqual(databases);
  expect(open({ only_filter: "sho" })).toEqual(["shop"]);
  expect(open({ enabled: false })).toEqual([]);
});

describe("a cluster that is stopped", () => {
  const stopped = {
    observations: [silent("pg1", "not_running"), silent("pg2", "not_running")],
    agent: undefined,
    databaseBytes: undefined,
    answers: false,
  };

  test("gives one critical warning, and its nodes are stopped", () => {
    const status = statusWith(stopped);
    expect(codes(status)).toEqual(["cluster_not_running"]);
    expect(status.verdict).toBe("critical");
    expect(status.nodes.map(({ state }) => state)).toEqual(["stopped", "stopped"]);
    expect(warningOf(status, "cluster_not_running")).toMatchObject({
      message: "Cluster prod is not running.",
      next: "odoo-pg up",
    });
  });

  test("on purpose is no fault: it says by whom, and when", () => {
    const at = "2026-11-22T09:30:00.000Z";
    const record = { primary: "pg1", systemIdentifier: SYSTEM_IDENTIFIER, stopped: { at, by: "mitchell" } };
    const status = statusWith({ ...stopped, record });
    expect(codes(status)).toEqual(["cluster_stopped"]);
    expect(status.verdict).toBe("warning");
    expect(warningOf(status, "cluster_stopped").message).toBe(
      "Cluster prod was stopped by mitchell at 2026-11-22T09:30Z. Its data stays.",
    );
    // What does not answer although it is there was not stopped.
    const hung = [silent("pg1", "timeout"), silent("pg2", "not_running")];
    expect(codes(statusWith({ ...stopped, record, observations: hung }))).toEqual(["cluster_not_running"]);
  });

  test("that never ran says so, and has the roles of the configuration", () => {
    const observations = [silent("pg1", "never_started"), silent("pg2", "never_started")];
    const status = statusWith({ ...stopped, observations, record: undefined });
    expect(warningOf(status, "cluster_not_running").message).toMatch(/never started/);
    expect(status.nodes.map(({ role, state }) => [role, state])).toEqual([
      ["primary", "stopped"],
      ["replica", "stopped"],
    ]);
  });

  test("is told from one whose servers hang", () => {
    const observations = [silent("pg1", "timeout", "1 s"), silent("pg2", "not_running")];
    const status = statusWith({ ...stopped, observations });
    expect(status.nodes.map(({ state }) => state)).toEqual(["unreachable", "stopped"]);
    expect(warningOf(status, "cluster_not_running").message).toMatch(/^Nothing of cluster prod answers/);
  });

  test("says what keeps a node from starting", () => {
    const waiting = {
      state: "refused" as const,
      reason: "Node pg1: it belongs to another cluster.",
      next: ["Move it."],
    };
    const agent = agentOf(["pg1", "pg2"], {
      keeping: false,
      haproxy: false,
      pool: [],
      nodes: [account("pg1", { waiting }), account("pg2")],
    });
    expect(codes(statusWith({ ...stopped, agent }))).toEqual(["cluster_not_running", "node_refused"]);
  });

  test("that is being started is not called stopped", () => {
    const agent = agentOf(["pg1", "pg2"], { keeping: false, haproxy: false, operation: "up", pool: [] });
    const status = statusWith({ ...stopped, agent });
    expect(codes(status)).not.toContain("cluster_not_running");
    expect(warningOf(status, "primary_down").next).toBe("odoo-pg status --watch");
  });
});

describe("warnings", () => {
  test("are none for good backups, which the status tells of", () => {
    const status = statusWith({ backups: backups({}) });
    expect(codes(status)).toEqual([]);
    expect(status.backups).toEqual({
      last_good_at: hoursAgo(1),
      age_seconds: 3600,
      databases: 1,
      size_bytes: 3 * MB,
      last_drill_at: hoursAgo(24),
      last_drill_ok: true,
      proofs: [{ database: "shop", proven_at: hoursAgo(24), failed_at: null }],
    });
  });

  test("tell of each database whether it comes back, whatever another's last drill brought", () => {
    const proof = (database: string, days: number | null, changes: Partial<DatabaseProof> = {}) => ({
      database,
      since: hoursAgo(9000),
      proven: days === null ? null : { at: hoursAgo(days * 24), id: `${database}_20260301_1200` },
      failed: null,
      ...changes,
    });
    const warningsOf = (...proofs: DatabaseProof[]) =>
      statusWith({ backups: backups({ databases: proofs.length, proofs }) }).warnings.map(
        ({ code, message }) => [code, message],
      );
    expect(warningsOf(proof("crm", 1), proof("shop", 7))).toEqual([]);
    expect(warningsOf(proof("crm", 1), proof("new", null, { since: hoursAgo(48) }))).toEqual([]);
    expect(warningsOf(proof("crm", 1), proof("shop", 9))).toEqual([
      ["drill_too_old", "The last proven restore of shop is 9 days old."],
    ]);
    expect(warningsOf(proof("crm", 9), proof("old", null), proof("shop", 1))).toEqual([
      [
        "drill_too_old",
        "2 of 3 databases have not been proven by a restore for 8 days: no backup of old was ever proven by restoring it.",
      ],
    ]);
    const failed = { at: hoursAgo(1), id: "shop_20260301_1300", error: "no room left" };
    expect(warningsOf(proof("crm", 0), proof("shop", 1, { failed }))).toEqual([
      ["drill_failed", "A backup could not be proven by restoring it: shop_20260301_1300: no room left"],
    ]);
  });

  test("come for a cluster that was never backed up only when that is late", () => {
    const never = (launchedAt: string) => codes(statusWith({ backups: { record: undefined, launchedAt } }));
    expect(never(hoursAgo(2))).toEqual([]);
    expect(never(hoursAgo(30))).toEqual(["backup_too_old"]);
  });

  test("come when a filter leaves nothing to back up, and not when there is nothing", () => {
    const none = backups({ last_good_at: null, databases: 0, last_drill: null });
    expect(codes(statusWith({ backups: none }))).toEqual([]);
    const filtered = statusWith({ backups: none, backup: { only_filter: "^prod$" } });
    expect(codes(filtered)).toEqual(["backup_filter_matches_nothing"]);
    expect(filtered.warnings[0]?.message).toContain('contains "^prod$"');
  });

  test("say why the primary does not let a replica replicate, where it told", () => {
    const status = statusWith({
      observations: [primary, seen("pg2", replicaFacts({ receiver_status: null, timeline: 3 }))],
      agent: agentOf(["pg1", "pg2"], {
        nodes: [
          account("pg1"),
          account("pg2", { refusal: 'password authentication failed for user "replicator"' }),
        ],
      }),
    });
    const { message, next } = warningOf(status, "replica_not_streaming");
    expect(message).toContain('pg1 refuses the role "replicator" (password authentication failed');
    expect(next).toContain("odoo-pg up");
  });

  test.each(Object.entries(causes))("%s takes three lines of 80 characters at most", (code, { when }) => {
    const text = sheet(statusWith(when), { colours: false, width: 80 });
    expect(messagesIn(text).length, code).toBeGreaterThan(0);
    for (const message of messagesIn(text)) {
      expect(message.length, message.join("\n")).toBeLessThanOrEqual(3);
      for (const line of message) expect(line.length, line).toBeLessThanOrEqual(80);
    }
  });

  test.each(Object.entries(causes))("%s has a next step that names commands there are", (code, { when }) => {
    const found = statusWith(when).warnings.find((warning) => warning.code === code);
    for (const part of found?.next_step ?? [])
      if (typeof part !== "string" && part.program === "odoo-pg")
        expect(mistakeIn(part.arguments)).toBeUndefined();
  });

  test("a message of pages is cut after its first lines, and shown whole where that is asked for", () => {
    const sql = `SELECT ${"x_very_long_name_of_a_column, ".repeat(400)}end`;
    const failed = { at: hoursAgo(1), id: "shop_20260301_1300", error: sql };
    const proofs = [{ database: "shop", since: hoursAgo(2), proven: null, failed }];
    const status = statusWith({ backups: backups({ proofs }) });
    const brief = sheet(status, { colours: false, width: 80 });
    for (const message of messagesIn(brief)) expect(message.length).toBeLessThanOrEqual(3);
    expect(brief).toContain("(whole: --full)");
    expect(sheet(status, { colours: false, width: 80, whole: true })).not.toContain("--full");
  });

  test.each(Object.entries(causes))("%s is given, and says what to do next", (code, { when, next, node }) => {
    const status = statusWith(when);
    const found = status.warnings.find((warning) => warning.code === code);
    expect(codes(status)).toContain(code);
    expect(found?.next).toContain(next);
    expect(found?.node).toBe(node ?? null);
    expect(found?.severity).toBe(severityOf(found?.code ?? "primary_down"));
  });

  test("decide the verdict: the worst of them", () => {
    expect(verdictOf(statusWith({ disks: { pg1: 0.86, pg2: 0.4 } }).warnings)).toBe("warning");
    const mixed = statusWith({ disks: { pg1: 0.86, pg2: 0.97 } });
    expect(mixed.verdict).toBe("critical");
    expect(mixed.warnings.map(({ severity }) => severity)).toEqual(["critical", "warning"]);
  });

  test("name one cause once: a dead primary explains why nobody streams", () => {
    const observations = [silent("pg1", "not_running"), seen("pg2", replicaFacts({ receiver_status: null }))];
    const agent = agentOf(["pg1", "pg2"], { pool: [] });
    expect(codes(statusWith({ observations, agent }))).toEqual(["primary_down"]);
  });

  test("name one cause once: a lost slot explains why the replica does not stream", () => {
    expect(codes(statusWith(causes.slot_lost.when))).toEqual(["slot_lost"]);
  });

  test("name a disk once, however many nodes are on it", () => {
    const status = statusWith({ disks: { pg1: 0.9, pg2: 0.9 } });
    expect(warningOf(status, "disk_filling").message).toMatch(
      /^The disk of pg1, pg2 is 90 % full: 10 GB left/,
    );
  });

  test("name what is kept aside on a disk that fills up, with its size and how it is removed", () => {
    const disk = (...paths: readonly string[]) => ({
      totalBytes: 100 * GB,
      freeBytes: 4 * GB,
      keptAside: paths.map((path, index) => ({ path, bytes: index === 0 ? 12 * GB : undefined })),
    });
    const input = cluster({ disks: { pg1: 0.96, pg2: 0.96 } });
    const disks = new Map([
      ["pg1", disk("/srv/pg/aside/pg3-20261122T023031Z", "/srv/pg/nodes/pg1/data.aside-1")],
      ["pg2", disk("/srv/pg/aside/pg3-20261122T023031Z")],
    ]);
    const { message, next } = warningOf(statusOf({ ...input, disks }), "disk_nearly_full");
    expect(message).toContain(
      "yours to remove once you are sure that it is not needed: /srv/pg/aside/pg3-20261122T023031Z (12 GB), /srv/pg/nodes/pg1/data.aside-1 (size not known yet).",
    );
    expect(next).toBe("rm -r /srv/pg/aside/pg3-20261122T023031Z /srv/pg/nodes/pg1/data.aside-1");
  });

  test("carry the server's own words when it does not start", () => {
    expect(warningOf(statusWith(causes.start_failing.when), "start_failing").message).toContain(
      'could not open file "x"',
    );
  });

  test("tell a node that waits to be made anew as that", () => {
    const waiting = {
      state: "needs reseed",
      reason: "The data of pg2 is not that of a standby.",
      next: [odooPg("reseed", "pg2")],
    } as const;
    const agent = agentOf(["pg1", "pg2"], { nodes: [account("pg1"), account("pg2", { waiting })] });
    const status = statusWith({ observations: [primary, dead], agent });
    expect(codes(status)).toContain("needs_reseed");
    expect(codes(status)).not.toContain("node_refused");
    expect(warningOf(status, "needs_reseed")).toMatchObject({ node: "pg2", next: "odoo-pg reseed pg2" });
  });

  test("lead to the disk when there is no room to start", () => {
    const agent = agentOf(["pg1", "pg2"], {
      nodes: [
        account("pg1"),
        account("pg2", { failure: "pg2 does not start: FATAL: x", failure_cause: "disk_full" }),
      ],
    });
    const status = statusWith({ observations: [primary, dead], agent });
    expect(warningOf(status, "start_failing").next).toContain("df -h");
  });

  test("lead to `up` where no agent starts a dead server again", () => {
    const status = statusWith({ observations: [primary, dead], agent: undefined });
    expect(codes(status)).toEqual(["replica_down", "agent_not_running"]);
    expect(warningOf(status, "replica_down").next).toBe("odoo-pg up");
  });

  test("name a primary that was recorded but runs as a replica", () => {
    const status = statusWith({ observations: [seen("pg1", replicaFacts()), replica] });
    expect(warningOf(status, "primary_down").message).toMatch(/runs as a replica/);
    expect(status.endpoints.write.node).toBeNull();
  });

  test("of a slot follow the configured limit, and none when there is no limit", () => {
    const observations = [seen("pg1", primaryFacts({ slots: [slot("pg2", { behind: 600 * MB })] })), replica];
    const withLimit = (max_slot_wal_keep_size: string): WarningCode[] =>
      codes(statusWith({ observations, parameters: { max_slot_wal_keep_size } }));
    expect(withLimit("1GB")).toEqual(["slot_keeps_wal"]);
    expect(withLimit("1024")).toEqual(["slot_keeps_wal"]);
    expect(withLimit("2GB")).toEqual([]);
    expect(withLimit("-1")).toEqual([]);
  });

  test("of a lag in seconds leave the last word to the agent, which measures it", () => {
    const late = seen("pg2", replicaFacts({ behind: 50, last_replay_at: NOW - 3_600_000 }));
    const observations = [primary, late];
    expect(codes(statusWith({ observations, maxLagSeconds: 10 }))).toEqual([]);
    const agent = agentOf(["pg1", "pg2"], { pool: [] });
    expect(codes(statusWith({ observations, maxLagSeconds: 10, agent }))).toContain("replica_behind");
  });

  test("quote a path for the shell", () => {
    const stateDir = "/srv/Application Support/prod";
    const status = statusWith({ disks: { pg1: 0.4, pg2: 0.9 }, stateDir });
    expect(warningOf(status, "disk_filling").next).toBe(`df -h '${stateDir}/nodes/pg2/data'`);
  });

  test("follow the wording of the configuration file in every command", () => {
    const status = statusWith({
      observations: [primary, dead],
      agent: undefined,
      configFile: "/etc/prod.yaml",
    });
    for (const { next } of status.warnings) expect(next).toBe("odoo-pg up --config /etc/prod.yaml");
  });
});

describe("an empty pool", () => {
  const primary = seen("pg1", primaryFacts());
  const agent = agentOf(["pg1", "pg2"], { pool: [] });

  test("is not told beside what empties it", () => {
    const observations = [primary, seen("pg2", replicaFacts({ receiver_status: null }))];
    expect(codes(statusWith({ observations, agent }))).toEqual(["replica_not_streaming"]);
  });

  test("is told when one of the replicas is out without another word", () => {
    const names = ["pg1", "pg2", "pg3"];
    const observations = [
      seen("pg1", primaryFacts({ slots: [slot("pg2"), slot("pg3")] })),
      seen("pg2", replicaFacts({ receiver_status: null })),
      seen("pg3", replicaFacts()),
    ];
    const status = statusWith({ nodes: names, observations, agent: agentOf(names, { pool: [] }) });
    expect(codes(status)).toEqual(["replica_not_streaming", "pool_empty"]);
  });

  test("is not told beside a file that overrules what commits wait for", () => {
    const overrides = [
      {
        setting: "synchronous_standby_names",
        value: "",
        file: "/d/postgresql.auto.conf",
        role: null,
        database: null,
      },
    ];
    const status = statusWith({
      consistency: "read-your-writes",
      agent: agentOf(["pg1", "pg2"], { pool: [], overrides }),
    });
    expect(codes(status)).toEqual(["commits_do_not_wait"]);
    expect(status.warnings[0]?.next).toBe(
      "odoo-pg psql -- -c 'ALTER SYSTEM RESET synchronous_standby_names' -c 'SELECT pg_reload_conf()'",
    );
  });
});

test.each([
  ["12.22", false],
  ["13.20", true],
  ["13.21", false],
  ["15.12 (Debian 15.12-0+deb12u2)", true],
  ["15.18", false],
  ["17.4", true],
  ["17.5", false],
  ["18.0", false],
  ["18beta1", false],
])("PostgreSQL %s may let commits pass at its start: %s", (version, may) => {
  expect(passesAtStart(version)).toBe(may);
});
