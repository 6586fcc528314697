import { nextStep, odooPg } from "../../../src/next-step.ts";
import type { StatusDocument } from "../../../src/cluster/documents/status.ts";
import { verdictOf, warning, warningInDocument, type Warning } from "../../../src/model/warnings.ts";
import type {
  ClusterEvent,
  ConsoleDocument,
  Job,
  OdooDatabase,
  Sample,
  Principal,
  Verdict,
} from "../../../src/cluster/documents/console.ts";
import { NO_ACTIVITY } from "../../../src/console/gather/activity-reader.ts";

const MB = 1024 * 1024;
const GB = 1024 * MB;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** As long as PostgreSQL lets a name be. */
export const LONG_NAME = "w".repeat(63);
/** As many bytes, three for each character. */
export const WIDE_NAME = "倉庫管理株式会社".repeat(3).slice(0, 21);
/** What a restore that fails can say. */
export const CAUSE = Array.from(
  { length: 60 },
  (_, index) =>
    `ALTER TABLE ONLY public.table_${index} ADD CONSTRAINT ${LONG_NAME} FOREIGN KEY (partner_id);`,
).join(" ");

/** Documents of one moment, `now` in milliseconds. */
export function fixturesAt(now: number) {
  const before = (seconds: number): string => new Date(now - seconds * 1000).toISOString();
  const at = before(0);

  const node = (name: string, changes: Partial<StatusDocument["nodes"][number]> = {}) => ({
    name,
    role: "replica" as const,
    state: "streaming" as const,
    host: "127.0.0.1",
    port: 5432 + Number(name.slice(2)),
    timeline: 4,
    lag_bytes: 0,
    lag_seconds: 0,
    slot: { state: "ok" as const, kept_bytes: 16 * MB },
    disk_used_ratio: 0.6,
    in_pool: true,
    reason: null,
    last_seen: at,
    ...changes,
  });
  const primary = node("pg1", {
    role: "primary",
    state: "running",
    lag_bytes: null,
    lag_seconds: null,
    slot: null,
    disk_used_ratio: 0.61,
    in_pool: false,
  });
  const status = (changes: Partial<StatusDocument> = {}): StatusDocument => {
    const warnings: Warning[] = changes.warnings ?? [];
    return {
      version: 1,
      cluster: "prod",
      at,
      verdict: verdictOf(warnings),
      postgres_version: "17.4",
      timeline: 4,
      database_bytes: 38.2 * GB,
      not_backed_up: [],
      nodes: [primary, node("pg2"), node("pg3")],
      endpoints: {
        read: {
          host: "127.0.0.1",
          port: 5435,
          answers: true,
          waiting: null,
          pooler: null,
          consistency: "bounded",
          pool: ["pg2", "pg3"],
        },
        write: { host: "127.0.0.1", port: 5436, answers: true, waiting: null, pooler: null, node: "pg1" },
      },
      agent: { running: true, pid: 4711, operation: null },
      console: { url: "http://127.0.0.1:5050/", answers: true },
      window: null,
      second_proven: null,
      attachments_kept_at: null,
      copies: [],
      backups: {
        last_good_at: before(2 * HOUR),
        age_seconds: 2 * HOUR,
        databases: 4,
        size_bytes: 9.4 * GB,
        last_drill_at: before(29 * HOUR),
        last_drill_ok: true,
        proofs: [],
      },
      warnings,
      ...changes,
    };
  };

  const database = (name: string, changes: Partial<OdooDatabase> = {}): OdooDatabase => ({
    name,
    odoo_version: "19.0",
    size_bytes: 8.4 * GB,
    filestore_bytes: 12.1 * GB,
    last_backup_at: before(2 * HOUR),
    late_actions: 0,
    failed_actions: 0,
    mail_waiting: 0,
    ...changes,
  });
  const databases = [
    database("sales", { size_bytes: 27.3 * GB, mail_waiting: 3 }),
    database("shop"),
    database("accounting", { size_bytes: 2.3 * GB, filestore_bytes: 840 * MB, odoo_version: "18.0" }),
    database("warehouse_reports", { odoo_version: null, size_bytes: 190 * MB, filestore_bytes: null }),
  ];
  const event = (seconds: number, kind: string, by: string, text: string): ClusterEvent => ({
    at: before(seconds),
    kind,
    by,
    text,
    node: null,
    database: null,
  });
  const events = [
    event(2 * HOUR, "backup", "schedule", "4 databases were backed up, 1.2 GB new"),
    event(6.4 * HOUR, "switchover", "alice", "pg1 is the primary again, nothing lost, 0.9 s without writes"),
    event(6.9 * HOUR, "node_started", "agent", "pg1 was started as a replica"),
    event(7 * HOUR, "switchover", "alice", "pg2 became the primary, nothing lost, 1.1 s without writes"),
    event(8 * HOUR, "backup", "schedule", "4 databases were backed up, 0.8 GB new"),
    event(14 * HOUR, "backup", "schedule", "4 databases were backed up, 0.6 GB new"),
    event(20 * HOUR, "backup", "schedule", "4 databases were backed up, 0.9 GB new"),
    event(29 * HOUR, "drill", "schedule", "sales of 21 Nov was restored and is what the backup promises"),
    event(31 * HOUR, "copy", "bob", "sales was copied to sales_staging, neutralised"),
  ];
  const backups = [2, 8, 14, 20, 26, 50, 74, 98, 122, 146, 170, 338].flatMap((hours) =>
    ["sales", "shop"].map((name) => ({
      id: `${name}-${before(hours * HOUR)
        .slice(0, 16)
        .replaceAll(/\D/g, "")}`,
      database: name,
      at: before(hours * HOUR),
      proven_at: hours > 20 ? before((hours - 1) * HOUR) : null,
    })),
  );

  const normal: ConsoleDocument = {
    version: 1,
    at,
    cluster: "prod",
    config_file: null,
    called: "odoo-pg",
    verdict: {
      level: "ok",
      sentence: "All is well: pg1 takes writes, all 2 replicas serve reads, and every database is backed up.",
      head: "All is well",
      warning: null,
      next: null,
      next_step: null,
      action: null,
      actions: [],
    },
    recovery: {
      sentence: "Yes: every database was backed up 2 h ago, and a restore was proven yesterday.",
      last_backup_at: before(2 * HOUR),
      last_proven_at: before(29 * HOUR),
      oldest_at: before(338 * HOUR),
      size_bytes: 9.4 * GB,
      backups,
    },
    status: status(),
    disks: ["pg1", "pg2", "pg3"].map((name, index) => ({
      node: name,
      free_bytes: 156 * GB,
      total_bytes: 400 * GB,
      days_left: [212, 218, null][index] ?? null,
      history_hours: [24, 24, null][index] ?? null,
    })),
    databases,
    activity: {
      at,
      connections: 31,
      max_connections: 120,
      blocking: [],
      long_transactions: [
        {
          pid: 20411,
          database: "sales",
          user: "odoo",
          application: "odoo-20388",
          state: "idle in transaction",
          seconds: 74,
          scheduled_action: true,
          statement: "SELECT * FROM ir_cron WHERE id = 12 FOR NO KEY UPDATE SKIP LOCKED",
        },
      ],
      statements_missing: null,
      slowest_statements: [
        {
          database: "sales",
          statement:
            "SELECT sale_order_line.id FROM sale_order_line LEFT JOIN sale_order ON sale_order_line.order_id = sale_order.id WHERE sale_order.state IN ($1, $2) AND sale_order_line.company_id = $3 ORDER BY sale_order_line.order_id, sale_order_line.sequence",
          calls: 128_400,
          mean_ms: 12.4,
          total_seconds: 1592,
        },
        {
          database: "shop",
          statement: "UPDATE product_template SET list_price = $1 WHERE id IN ($2)",
          calls: 210,
          mean_ms: 2310,
          total_seconds: 485,
        },
      ],
    },
    jobs: [],
    events,
  };

  const behind = warningOf("replay_paused", {
    node: "pg3",
    message: "pg3 is 212 MB behind, because somebody paused its replay. Reads go to pg2.",
    next: odooPg("replication", "resume", "pg3"),
  });
  const diskFilling = warningOf("disk_filling", {
    node: "pg1",
    message: "The disk of pg1 is 88 % full.",
    next: nextStep`Make room, or give it a larger disk: ${odooPg("backup", "prune")}`,
  });
  const warned: ConsoleDocument = {
    ...normal,
    verdict: { level: "warning", ...toldOf(behind) },
    status: status({
      warnings: [behind, diskFilling],
      nodes: [
        { ...primary, disk_used_ratio: 0.88 },
        node("pg2"),
        node("pg3", {
          state: "replay paused",
          lag_bytes: 212 * MB,
          lag_seconds: 41,
          slot: { state: "ok", kept_bytes: 3.1 * GB },
          in_pool: false,
          reason: "it is further behind than 16 MB",
        }),
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
    }),
    disks: [
      { node: "pg1", free_bytes: 48 * GB, total_bytes: 400 * GB, days_left: 9.4, history_hours: 18 },
      { node: "pg2", free_bytes: 156 * GB, total_bytes: 400 * GB, days_left: 218, history_hours: 24 },
      { node: "pg3", free_bytes: null, total_bytes: null, days_left: null, history_hours: null },
    ],
    databases: databases.map((one) =>
      one.name === "sales" ? { ...one, late_actions: 4, failed_actions: 1, mail_waiting: 1312 } : one,
    ),
    activity: {
      ...normal.activity,
      connections: 104,
      blocking: [
        {
          sentence:
            "Session 20977 (odoo, sales) holds a row of stock_quant and does nothing; 3 others wait for it.",
          seconds: 187,
          blocker: 20977,
          waiting: [21003, 21044, 21102],
        },
      ],
    },
    events: [event(3 * MINUTE, "alarm_began", "agent", "pg3 is behind"), ...events],
  };

  const down = warningOf("primary_down", {
    node: "pg1",
    message: "The primary pg1 does not answer since 09:38: nothing can be written.",
    next: nextStep`If it does not come back by itself: ${odooPg("promote", "pg2")}`,
  });
  const noBackup = warningOf("backup_too_old", {
    message: "shop has no backup that is younger than 26 hours.",
    next: odooPg("backup", "create", "shop"),
  });
  const critical: ConsoleDocument = {
    ...normal,
    verdict: {
      level: "critical",
      ...toldOf(down),
      actions: [null, { kind: "backup", database: "shop" }],
    },
    recovery: {
      ...normal.recovery,
      sentence: "Partly: shop has no backup of the last 26 hours. The others have.",
    },
    status: status({
      warnings: [down, noBackup],
      nodes: [
        {
          ...primary,
          state: "unreachable",
          last_seen: before(4 * MINUTE),
          timeline: null,
          disk_used_ratio: null,
          reason: "connection refused",
        },
        node("pg2", { state: "not streaming", lag_bytes: null, lag_seconds: null, slot: null }),
        node("pg3", { state: "not streaming", lag_bytes: null, lag_seconds: null, slot: null }),
      ],
      endpoints: {
        read: {
          host: "127.0.0.1",
          port: 5435,
          answers: true,
          waiting: null,
          pooler: null,
          consistency: "bounded",
          pool: ["pg2", "pg3"],
        },
        write: { host: "127.0.0.1", port: 5436, answers: true, waiting: null, pooler: null, node: null },
      },
      database_bytes: null,
    }),
    disks: [],
    databases: databases.map((one) => ({
      ...one,
      size_bytes: null,
      late_actions: null,
      failed_actions: null,
      mail_waiting: null,
      pooler: null,
    })),
    activity: NO_ACTIVITY,
    events: [event(4 * MINUTE, "node_down", "agent", "pg1 does not answer: connection refused"), ...events],
  };

  const empty: ConsoleDocument = {
    ...normal,
    recovery: {
      sentence: "There is no database yet, so there is nothing to go back to.",
      last_backup_at: null,
      last_proven_at: null,
      oldest_at: null,
      size_bytes: null,
      backups: [],
    },
    status: status({
      nodes: [primary, node("pg2")],
      database_bytes: 22 * MB,
      timeline: 1,
      backups: null,
    }),
    disks: [],
    databases: [],
    activity: {
      at,
      connections: 2,
      max_connections: 120,
      blocking: [],
      long_transactions: [],
      statements_missing: null,
      slowest_statements: [],
    },
    events: [event(40, "up", "alice", "The cluster was started for the first time")],
  };

  const window = {
    from: before(6.9 * DAY),
    to: before(12),
    gaps: [],
    archiving: true,
    base_backups: 7,
  };
  const proven = {
    proven_at: before(2 * DAY),
    second: before(3.4 * DAY),
    seconds: 41,
    databases: 4,
    relations: 3120,
    failed_at: null,
  };
  /** Any second can be brought back, which was proven. */
  const seconds: ConsoleDocument = { ...normal, status: status({ window, second_proven: proven }) };
  const notWhole = warningOf("second_drill_failed", {
    message: `${before(1.2 * DAY)} could not be brought back whole: 2 tables or indexes of sales are damaged: index "sale_order_line_order_id_index": item order invariant violated.`,
    next: odooPg("backup", "verify", "--any-second"),
  });
  /** The newest drill of a second failed, and WAL is missing in between. */
  const secondFailed: ConsoleDocument = {
    ...normal,
    verdict: {
      level: "warning",
      ...toldOf(notWhole),
      action: { kind: "prove_second" },
      actions: [{ kind: "prove_second" }],
    },
    status: status({
      warnings: [notWhole],
      window: {
        ...window,
        gaps: [2, 3, 4].map((days) => ({ from: before(days * DAY), to: before(days * DAY - 700) })),
      },
      second_proven: { ...proven, failed_at: before(3 * HOUR) },
    }),
  };

  const crowded: ConsoleDocument = {
    ...normal,
    databases: Array.from({ length: 52 }, (_, index) =>
      database(`customer${String(index + 1).padStart(2, "0")}`, {
        size_bytes: (1 + ((index * 7) % 13)) * GB,
        late_actions: index === 33 ? 2 : 0,
      }),
    ),
  };

  const job = (changes: Partial<Job> & Pick<Job, "action" | "command">): Job => ({
    id: "job-1",
    plan: false,
    by: "operator",
    started_at: at,
    ended_at: null,
    exit_status: null,
    progress: null,
    lines: [],
    ...changes,
  });

  const unproven = warningOf("drill_failed", {
    message: CAUSE,
    next: nextStep`${CAUSE} ${odooPg("backup", "show", LONG_NAME)}`,
  });
  const wordy: ConsoleDocument = {
    ...warned,
    verdict: { level: "warning", ...toldOf(unproven) },
    status: status({
      warnings: [
        unproven,
        { ...unproven, node: "pg2" },
        warningOf("second_drill_failed", {
          message: CAUSE,
          next: odooPg("backup", "verify", "--any-second"),
        }),
      ],
      window: { ...window, archiving: false },
      second_proven: { ...proven, failed_at: before(3 * HOUR) },
      nodes: [primary, node("pg2", { in_pool: false, reason: CAUSE })],
    }),
    recovery: { ...normal.recovery, sentence: CAUSE },
    databases: [database(LONG_NAME), database(WIDE_NAME), database("shop")],
    activity: {
      ...warned.activity,
      blocking: [{ sentence: CAUSE, seconds: 3, blocker: 1, waiting: [2] }],
      long_transactions: normal.activity.long_transactions.map((one) => ({
        ...one,
        database: LONG_NAME,
        statement: CAUSE,
      })),
    },
    events: [event(3 * MINUTE, "drill", "schedule", CAUSE), ...events],
    jobs: [
      job({
        action: { kind: "backup", database: LONG_NAME },
        command: `odoo-pg backup create ${CAUSE}`,
        ended_at: at,
      }),
    ],
  };

  return {
    normal,
    warned,
    critical,
    empty,
    crowded,
    wordy,
    seconds,
    secondFailed,
    job,
    samples: samplesUntil(now),
  };
}

export const OPERATOR: Principal = {
  role: "operator",
  signed_in: true,
  read_only: false,
  token: "token-of-this-test",
};
export const VIEWER: Principal = { role: "viewer", signed_in: false, read_only: false, token: "" };

/** A day of a cluster that works by day and rests by night, with a gap, and pg3 behind for a while. */
function samplesUntil(now: number): Sample[] {
  const every = 2 * MINUTE;
  return Array.from({ length: (DAY / every) | 0 }, (_, index): Sample => {
    const time = now - (DAY - (index + 1) * every) * 1000;
    const hour = new Date(time).getHours() + new Date(time).getMinutes() / 60;
    const work = Math.max(0.06, Math.sin(((hour - 5) / 16) * Math.PI));
    // The same noise each time.
    const noise = ((index * 7919) % 101) / 101;
    const ago = (now - time) / 1000;
    const paused = ago > 9 * HOUR && ago < 10 * HOUR;
    return {
      at: new Date(time).toISOString(),
      nodes: [
        { name: "pg1", lag_bytes: null, lag_seconds: null, disk_free_bytes: 150 * GB },
        { name: "pg2", lag_bytes: noise * work * 3 * MB, lag_seconds: noise * 0.4, disk_free_bytes: null },
        {
          name: "pg3",
          lag_bytes: paused ? (10 * HOUR - ago) * 0.02 * MB : noise * work * 5 * MB,
          lag_seconds: paused ? (10 * HOUR - ago) / 90 : noise * 0.7,
          disk_free_bytes: null,
        },
      ],
      connections: Math.round(12 + work * 44 + noise * 9),
      max_connections: 120,
      transactions_per_second: 20 + work * 620 * (0.7 + noise * 0.3),
      wal_bytes_per_second: (0.05 + work * (0.6 + noise)) * MB,
      database_bytes: (38.2 - (ago / DAY) * 0.9) * GB,
    };
  }).filter(({ at }) => {
    const ago = (now - Date.parse(at)) / 1000;
    return ago < 15 * HOUR || ago > 16 * HOUR;
  });
}

function warningOf(...found: Parameters<typeof warning>): Warning {
  return warningInDocument(warning(...found), undefined);
}

/** The verdict that tells a warning. */
function toldOf({ message, next, next_step }: Warning): Omit<Verdict, "level"> {
  return { sentence: message, head: message, warning: 0, next, next_step, action: null, actions: [] };
}
