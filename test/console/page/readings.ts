import { nextStep, odooPg } from "../../../src/next-step.ts";
import { CAUSE, LONG_NAME, WIDE_NAME } from "./fixtures.ts";

const DAY = 24 * 3600 * 1000;

/** What commands print for the parts behind the overview, `now` in milliseconds. */
export function readingsAt(now: number): Readonly<Record<string, unknown>> {
  const before = (days: number, hours = 0): string =>
    new Date(now - days * DAY - hours * 3_600_000).toISOString();
  const backup = (database: string, days: number, changes: object = {}) => ({
    id: `${database}_${before(days).slice(0, 10).replaceAll("-", "")}_0300`,
    database,
    snapshot_at: before(days),
    size_bytes: 812_000_000,
    filestore: { included: true },
    drilled_at: null,
    problems: [],
    ...changes,
  });
  return {
    doctor: {
      version: 1,
      findings: [
        {
          code: "backup_missing",
          severity: "critical",
          node: null,
          database: "shop",
          message: "shop has never been backed up.",
          next_step: [odooPg("backup", "create", "shop")],
        },
        {
          code: "index_bloat",
          severity: "advice",
          node: null,
          database: "sales",
          message: "12 indexes of sales are more than half empty.",
          next_step: nextStep`At night: ${odooPg("psql", "--", "-d", "sales", "-c", "REINDEX")}`,
        },
      ],
      not_looked_at: [{ what: "Odoo's odoo.conf", why: "name it with --odoo-conf" }],
    },
    settings: {
      version: 1,
      values: [
        { path: "cluster", text: "prod", origin: { kind: "file", path: "/etc/odoo-pg.yaml", line: 1 } },
        { path: "endpoints.read.port", text: "5435", origin: { kind: "default" } },
      ],
    },
    advice: {
      version: 1,
      settings: [
        {
          name: "work_mem",
          now: "4MB",
          tuned: "32MB",
          differs: true,
          to_write: true,
          restart: false,
          reason: "sorts of Odoo's reports stay in memory",
          obstacle: null,
        },
        {
          name: "shared_buffers",
          now: "128MB",
          tuned: "2GB",
          differs: true,
          to_write: true,
          restart: true,
          reason: "a quarter of the memory",
          obstacle: null,
        },
      ],
    },
    roles: {
      version: 1,
      roles: [
        {
          name: "odoo",
          login: true,
          createdb: true,
          superuser: false,
          has_password: true,
          member_of: [],
          databases: ["sales", "shop"],
        },
      ],
    },
    changes: {
      version: 1,
      hours: 24,
      known_since: before(2),
      changes: [
        {
          id: "3f9a1c07be",
          change: "slower",
          database: "sales",
          role: "odoo",
          statement: "SELECT id FROM sale_order_line WHERE order_id IN ($1, $2) ORDER BY sequence, id",
          calls: 64_000,
          seconds: 1410,
          calls_before: 61_200,
          seconds_before: 182,
        },
        {
          id: "0b1c2d3e4f",
          change: "gone",
          database: null,
          role: null,
          statement: null,
          calls: 0,
          seconds: 0,
          calls_before: 12,
          seconds_before: 80,
        },
      ],
    },
    plan: {
      version: 1,
      id: "3f9a1c07be",
      database: "sales",
      role: "odoo",
      statement: "SELECT id FROM sale_order_line WHERE order_id IN ($1, $2) ORDER BY sequence, id",
      plan: [
        "Sort  (cost=412.30..412.31 rows=4 width=8)",
        "  Sort Key: sequence, id",
        "  ->  Seq Scan on sale_order_line  (cost=0.00..412.26 rows=4 width=8)",
        "        Filter: (order_id = ANY (ARRAY[$1, $2]))",
      ],
    },
    statements: {
      version: 1,
      day_from: before(0, 23),
      statements: [
        {
          id: "3f9a1c07be",
          day: [
            null,
            null,
            0,
            0.1,
            0.12,
            0.2,
            0.1,
            0,
            0,
            0.3,
            0.41,
            0.4,
            0.2,
            0.1,
            0.5,
            0.41,
            0.3,
            0.2,
            0.1,
            0,
            0,
            0.1,
            0.3,
            0.4,
          ],
          database: "sales",
          role: "odoo",
          statement: "SELECT id FROM sale_order_line WHERE order_id IN ($1, $2) ORDER BY sequence, id",
          calls: 128_400,
          mean_ms: 12.4,
          total_seconds: 1592,
          rows: 812_000,
          share: 0.41,
        },
      ],
    },
    alarms: {
      version: 1,
      alarms: [
        {
          rule: "backup_too_old",
          severity: "warning",
          subject: "shop",
          text: "shop has no backup that is younger than 26 hours.",
          since: before(0, 3),
        },
      ],
      mail: {
        host: "smtp.example.com",
        security: "starttls",
        from: "db@example.com",
        to: ["admin@example.com"],
      },
      channels: [
        { channel: "mail", to: "admin@example.com", applied: true, set_up: true },
        {
          channel: "slack",
          to: "the address in /var/lib/odoo-pg/prod/secrets/alarm_slack",
          applied: false,
          set_up: true,
        },
      ],
      failing_channels: [{ channel: "mail", since: before(0, 2), error: "535 wrong password", waiting: 2 }],
    },
    backups: {
      version: 1,
      dir: "/var/backups/odoo",
      unreadable: [],
      backups: [
        backup("sales", 40),
        backup("sales", 9, { drilled_at: before(8) }),
        backup("sales", 3, { problems: ["toc.dat is altered"] }),
        backup("shop", 2),
        backup("sales", 1),
      ],
    },
    log: {
      version: 1,
      log: "agent",
      file: "/var/lib/odoo-pg/prod/agent.log",
      lines: ["2026-11-28 16:00:01 info pg2 serves reads", "2026-11-28 16:00:09 error pg3 does not answer"],
      logs: ["agent", "haproxy", "pg1"],
    },
  };
}

/** What holds words of people and of servers. */
const WORDS = ["message", "error", "text", "statement", "to", "dir", "why", "reason"];

/** The same where every name is as long as it can be, and every cause sixty lines. */
export function wordyReadingsAt(now: number): Readonly<Record<string, unknown>> {
  const text = JSON.stringify(readingsAt(now), (key, value: unknown) => {
    if (typeof value !== "string") return value;
    if (WORDS.includes(key)) return CAUSE;
    return value === "sales" ? LONG_NAME : value === "shop" || value === "odoo" ? WIDE_NAME : value;
  });
  const readings: Readonly<Record<string, unknown>> = JSON.parse(text);
  return readings;
}
