import { odooPg } from "../../src/next-step.ts";
import type { CopyStatus } from "../../src/model/backups/copy-status.ts";
import type { KeptAttachments } from "../../src/model/backups/kept-attachments.ts";
import type { Archiving } from "../../src/model/backups/archive-status.ts";
import type { ServerFacts } from "../../src/model/observation.ts";
import type { StatusInput } from "../../src/cluster/view.ts";
import type { HOSTS } from "../../src/model/troubles/hosts.ts";
import type { WarningCode } from "../../src/model/troubles/troubles.ts";
import type { BackupStatus, RunReport } from "../../src/model/backups/backup-report.ts";
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
} from "../support/observations.ts";

export const primary = seen("pg1", primaryFacts());

export const replica = seen("pg2", replicaFacts());

export const dead = silent("pg2", "not_running");

export const hoursAgo = (hours: number): string => new Date(NOW - hours * 3_600_000).toISOString();

const run = (kind: "backup" | "drill", outcome: "ok" | "failed", finished_at: string): RunReport => ({
  version: 1,
  kind,
  cluster: "prod",
  host: "here",
  started_at: finished_at,
  finished_at,
  ok: outcome === "ok",
  databases: [
    {
      database: "shop",
      outcome,
      id: "shop_20260301_1200",
      seconds: 1,
      size_bytes: 1,
      copied_bytes: 0,
      error: outcome === "ok" ? null : "no room left",
      warnings: [],
    },
  ],
  removed: [],
  warnings: [],
});

const good = run("backup", "ok", hoursAgo(1));

const withoutFilestore: RunReport = {
  ...good,
  databases: good.databases.map((result) => ({ ...result, filestore_missing: true })),
};

export const backups = (changes: Partial<BackupStatus>): StatusInput["backups"] => ({
  launchedAt: hoursAgo(10_000),
  record: {
    version: 1,
    written_at: hoursAgo(1),
    last_good_at: hoursAgo(1),
    databases: 1,
    without_backup: [],
    backups: 3,
    size_bytes: 3 * MB,
    last_run: run("backup", "ok", hoursAgo(1)),
    last_drill: run("drill", "ok", hoursAgo(24)),
    ...changes,
  },
});

const ARCHIVING: Archiving = {
  format: 1,
  program: "/usr/bin/pgbackrest",
  system_identifier: "7",
  archiving: true,
  since: hoursAgo(9),
  gaps: [],
};

const keeping = (changes: Partial<KeptAttachments>): KeptAttachments => ({
  whole_at: hoursAgo(0),
  damaged: { count: 0, first: null },
  error: null,
  ...changes,
});

const NAS = { name: "nas", repository: "/mnt/nas", passphrase_file: "/etc/passphrase" };

const COPIED: CopyStatus = {
  version: 1,
  name: "nas",
  begun_at: hoursAgo(0),
  copied_at: hoursAgo(0),
  snapshot: "abcd",
  seconds: 3,
  added_bytes: 1000,
  tidied_at: hoursAgo(1),
  error: null,
  key_confirmed_at: hoursAgo(9),
};

const archiver = (changes: Partial<NonNullable<ServerFacts["archiver"]>>) => ({
  last_archived_wal: "000000040000000000000002",
  last_archived_at: NOW - 60_000,
  last_failed_wal: null,
  last_failed_at: null,
  ...changes,
});

/** What brings each warning about; with the command that has to be in what to do next. Those of several hosts: test/hosts. */
export const causes: Record<
  Exclude<WarningCode, keyof typeof HOSTS>,
  { when: Parameters<typeof cluster>[0]; next: string; node?: string }
> = {
  record_damaged: {
    when: {
      backups: { record: undefined, damage: "backup-status.json is damaged", launchedAt: undefined },
    },
    next: "odoo-pg backup create --all",
  },
  backup_failed: {
    when: { backups: backups({ last_run: run("backup", "failed", hoursAgo(1)) }) },
    next: "odoo-pg backup create --all",
  },
  backup_incomplete: {
    when: { backups: backups({ last_run: withoutFilestore }) },
    next: "odoo-pg backup create --all",
  },
  backup_too_old: {
    when: { backups: backups({ last_good_at: hoursAgo(27) }) },
    next: "odoo-pg backup create --all",
  },
  backup_filter_matches_nothing: {
    when: {
      backups: backups({ last_good_at: null, databases: 0, last_drill: null }),
      backup: { only_filter: "^prod$" },
    },
    next: "odoo-pg backup create --all",
  },
  archiver_failing: {
    when: {
      observations: [
        seen("pg1", primaryFacts({ archiver: archiver({ last_failed_at: NOW - 1000 }) })),
        replica,
      ],
    },
    node: "pg1",
    next: "odoo-pg logs pg1",
  },
  archiver_late: {
    when: {
      observations: [
        seen("pg1", primaryFacts({ archiver: archiver({ last_archived_wal: "000000040000000000000001" }) })),
        replica,
      ],
    },
    node: "pg1",
    next: "odoo-pg logs pg1",
  },
  window_broken: {
    when: {
      backup: { any_second: { enabled: true } },
      archive: { status: undefined, archiving: { ...ARCHIVING, archiving: false } },
    },
    next: "odoo-pg up",
  },
  attachments_late: {
    when: {
      agent: agentOf(["pg1", "pg2"], {
        attachments: keeping({ whole_at: new Date(NOW - 90_000).toISOString() }),
      }),
    },
    next: "odoo-pg logs agent",
  },
  attachments_damaged: {
    when: {
      agent: agentOf(["pg1", "pg2"], {
        attachments: keeping({ damaged: { count: 1, first: "shop/ab/abcd" } }),
      }),
    },
    next: "odoo-pg doctor",
  },
  copy_failed: {
    when: { backup: { offsite: [NAS] }, copies: [{ ...COPIED, error: "no route to host" }] },
    next: "odoo-pg backup copy --to nas",
  },
  copy_late: {
    when: { backup: { offsite: [NAS] }, copies: [{ ...COPIED, copied_at: hoursAgo(1) }] },
    next: "odoo-pg backup copy --to nas",
  },
  copy_key_unkept: {
    when: { backup: { offsite: [NAS] }, copies: [{ ...COPIED, key_confirmed_at: null }] },
    next: "Keep it: odoo-pg backup key show --of nas, then odoo-pg backup key confirm --of nas",
  },
  second_drill_failed: {
    when: {
      backup: { any_second: { enabled: true } },
      archive: { status: undefined, archiving: ARCHIVING },
      secondDrill: {
        version: 1,
        begun_at: hoursAgo(1),
        proven: null,
        failed: { at: hoursAgo(1), second: hoursAgo(40), error: "3 attachments of shop are nowhere" },
      },
    },
    next: "odoo-pg backup verify --any-second",
  },
  second_drill_too_old: {
    when: {
      backup: { any_second: { enabled: true } },
      archive: { status: undefined, archiving: ARCHIVING },
      secondDrill: {
        version: 1,
        begun_at: hoursAgo(15 * 24),
        proven: {
          at: hoursAgo(15 * 24),
          second: hoursAgo(16 * 24),
          base: "20260201-010000F",
          seconds: 40,
          databases: 1,
          relations: 400,
        },
        failed: null,
      },
    },
    next: "odoo-pg backup verify --any-second",
  },
  rotation_skipped: {
    when: { backups: backups({ rotation_skipped_since: hoursAgo(2) }) },
    next: "odoo-pg logs backup",
  },
  base_backup_failed: {
    when: {
      backup: { any_second: { enabled: true } },
      archive: {
        status: {
          version: 1,
          written_at: hoursAgo(1),
          begun: { full: hoursAgo(1), diff: null },
          bases: [],
          tablespaces: [],
          expiry_skipped_since: null,
          error: "no room left",
        },
        archiving: ARCHIVING,
      },
    },
    next: "odoo-pg logs backup",
  },
  alarm_channel_failing: {
    when: {
      agent: agentOf(["pg1", "pg2"], {
        failing_channels: [{ name: "mail", since: NOW - 60_000, error: "smtp.example.com:587: no answer" }],
      }),
    },
    next: "odoo-pg alarms test",
  },
  rights_not_kept: {
    when: { agent: agentOf(["pg1", "pg2"], { rights: { problem: "no answer", by_password: null } }) },
    next: "odoo-pg logs agent",
  },
  superuser_by_password: {
    when: { agent: agentOf(["pg1", "pg2"], { rights: { problem: null, by_password: "pg1" } }) },
    node: "pg1",
    next: "odoo-pg up",
  },
  console_not_served: {
    when: {
      agent: agentOf(["pg1", "pg2"], {
        console: {
          url: "http://127.0.0.1:5050/",
          problem: "port 5050 of 127.0.0.1 is taken by nginx (process 12)",
        },
      }),
    },
    next: "odoo-pg up",
  },
  drill_failed: {
    when: { backups: backups({ last_drill: run("drill", "failed", hoursAgo(1)) }) },
    next: "odoo-pg backup create shop --prove",
  },
  drill_too_old: {
    when: { backups: backups({ last_drill: run("drill", "ok", hoursAgo(9 * 24)) }) },
    next: "odoo-pg backup restore-check",
  },
  cluster_stopped: {
    when: {
      observations: [silent("pg1", "not_running"), dead],
      agent: undefined,
      answers: false,
      record: {
        primary: "pg1",
        systemIdentifier: "7",
        stopped: { at: "2026-11-22T09:30:00.000Z", by: "mitchell" },
      },
    },
    next: "odoo-pg up",
  },
  cluster_not_running: {
    when: {
      observations: [silent("pg1", "not_running"), dead],
      agent: undefined,
      answers: false,
    },
    next: "odoo-pg up",
  },
  primary_down: {
    when: { observations: [silent("pg1", "not_running"), replica] },
    next: "odoo-pg logs pg1",
    node: "pg1",
  },
  writes_wait: {
    when: {
      observations: [
        seen("pg1", primaryFacts({ synchronous_standby_names: '1 ("pg2")', standbys: [] })),
        silent("pg2", "timeout", "1 s"),
      ],
      agent: undefined,
    },
    next: "odoo-pg up",
  },
  clients_waiting: {
    when: {
      agent: agentOf(["pg1", "pg2"], {
        waiting_clients: {
          read: { clients: 9, longest_seconds: 4.9 },
          write: { clients: 1, longest_seconds: 5 },
        },
      }),
    },
    next: "odoo-pg doctor",
  },
  two_primaries: {
    when: { observations: [primary, seen("pg2", primaryFacts())] },
    next: "kill -INT $(head -n 1 /var/lib/odoo-pg/prod/nodes/pg2/data/postmaster.pid)",
    node: "pg2",
  },
  unexpected_primary: {
    when: { observations: [silent("pg1", "not_running"), seen("pg2", primaryFacts())] },
    next: "odoo-pg logs pg2",
    node: "pg2",
  },
  other_system_identifier: {
    when: { observations: [primary, seen("pg2", replicaFacts({ system_identifier: "99" }))] },
    next: "odoo-pg psql pg2 -- -c 'SHOW data_directory'",
    node: "pg2",
  },
  haproxy_down: {
    when: { agent: agentOf(["pg1", "pg2"], { haproxy: false }), answers: false },
    next: "odoo-pg logs haproxy",
  },
  endpoint_down: { when: { readAnswers: false }, next: "odoo-pg logs haproxy" },
  disk_nearly_full: {
    when: { disks: { pg1: 0.96, pg2: 0.4 } },
    next: "df -h /var/lib/odoo-pg/prod/nodes/pg1/data",
    node: "pg1",
  },
  disk_filling: {
    when: { disks: { pg1: 0.4, pg2: 0.85 } },
    next: "df -h /var/lib/odoo-pg/prod/nodes/pg2/data",
    node: "pg2",
  },
  connections_nearly_used: {
    when: { observations: [seen("pg1", primaryFacts({ connections: { used: 90, most: 97 } })), replica] },
    next: "odoo-pg sessions list",
    node: "pg1",
  },
  certificate_expiring: {
    when: {
      certificates: { authority: NOW + 3000 * 86_400_000, nodes: new Map([["pg2", NOW + 9 * 86_400_000]]) },
    },
    next: "odoo-pg up",
    node: "pg2",
  },
  certificate_expired: {
    when: { certificates: { authority: NOW - 1000, nodes: new Map() } },
    next: "odoo-pg up",
  },
  agent_not_running: { when: { agent: undefined }, next: "odoo-pg up" },
  agent_of_other_build: { when: { otherAgent: "0.1.0" }, next: "odoo-pg up" },
  agent_waiting: { when: { agent: agentOf(["pg1", "pg2"], { keeping: false }) }, next: "odoo-pg up" },
  start_failing: {
    when: {
      observations: [primary, dead],
      agent: agentOf(["pg1", "pg2"], {
        nodes: [account("pg1"), account("pg2", { failure: 'FATAL:  could not open file "x"' })],
      }),
    },
    next: "odoo-pg logs pg2",
    node: "pg2",
  },
  node_refused: {
    when: {
      observations: [primary, dead],
      agent: agentOf(["pg1", "pg2"], {
        nodes: [
          account("pg1"),
          account("pg2", { waiting: { state: "refused", reason: "Node pg2: no.", next: [odooPg("up")] } }),
        ],
      }),
    },
    next: "odoo-pg up",
    node: "pg2",
  },
  tablespace_shared: {
    when: {
      observations: [primary, dead],
      agent: agentOf(["pg1", "pg2"], {
        nodes: [
          account("pg1"),
          account("pg2", {
            waiting: { state: "needs reseed", reason: "A tablespace.", next: [odooPg("reseed", "pg2")] },
            tablespaces: [{ location: "/srv/fast", shared: false }],
          }),
        ],
      }),
    },
    next: "odoo-pg reseed pg2",
    node: "pg2",
  },
  needs_rejoin: {
    when: {
      observations: [primary, dead],
      agent: agentOf(["pg1", "pg2"], {
        nodes: [
          account("pg1"),
          account("pg2", {
            waiting: {
              state: "needs rejoin",
              reason: "pg2 was a primary.",
              next: [odooPg("rejoin", "pg2")],
            },
          }),
        ],
      }),
    },
    next: "odoo-pg rejoin pg2",
    node: "pg2",
  },
  replica_down: { when: { observations: [primary, dead] }, next: "odoo-pg logs pg2", node: "pg2" },
  replica_not_streaming: {
    when: { observations: [primary, seen("pg2", replicaFacts({ receiver_status: null }))] },
    next: "odoo-pg logs pg2",
    node: "pg2",
  },
  needs_reseed: {
    when: {
      observations: [primary, seen("pg2", replicaFacts({ receiver_status: null }))],
      agent: agentOf(["pg1", "pg2"], { nodes: [account("pg1"), account("pg2", { stranded: true })] }),
    },
    next: "odoo-pg reseed pg2",
    node: "pg2",
  },
  commits_do_not_wait: {
    when: {
      consistency: "read-your-writes",
      agent: agentOf(["pg1", "pg2"], {
        overrides: [{ setting: "synchronous_commit", value: "off", file: null, role: 'o"o', database: null }],
      }),
    },
    next: `odoo-pg psql -- -c 'ALTER ROLE "o""o" RESET synchronous_commit'`,
  },
  postgres_update_needed: {
    when: {
      consistency: "read-your-writes",
      observations: [seen("pg1", primaryFacts({ version: "15.12 (Debian 15.12-0+deb12u2)" })), replica],
    },
    next: "update PostgreSQL, then restart: odoo-pg down && odoo-pg up",
  },
  wrong_timeline: {
    when: { observations: [primary, seen("pg2", replicaFacts({ timeline: 5, receiver_status: null }))] },
    next: "odoo-pg reseed pg2",
    node: "pg2",
  },
  slot_lost: {
    when: {
      observations: [
        seen("pg1", primaryFacts({ slots: [slot("pg2", { wal_status: "lost", active: false })] })),
        seen("pg2", replicaFacts({ receiver_status: null })),
      ],
    },
    next: "odoo-pg reseed pg2",
    node: "pg2",
  },
  slot_missing: {
    when: { observations: [seen("pg1", primaryFacts({ slots: [] })), replica] },
    next: "odoo-pg up",
    node: "pg2",
  },
  slot_keeps_wal: {
    when: {
      observations: [seen("pg1", primaryFacts({ slots: [slot("pg2", { behind: 11 * GB })] })), replica],
    },
    next: "odoo-pg logs pg2",
    node: "pg2",
  },
  replay_paused: {
    when: { observations: [primary, seen("pg2", replicaFacts({ replay_paused: true }))] },
    next: "odoo-pg psql pg2 -- -c 'SELECT pg_wal_replay_resume()'",
    node: "pg2",
  },
  replica_behind: {
    when: { observations: [primary, seen("pg2", replicaFacts({ behind: 17 * MB }))] },
    next: "odoo-pg status --watch",
    node: "pg2",
  },
  pool_empty: { when: { agent: agentOf(["pg1", "pg2"], { pool: [] }) }, next: "odoo-pg logs agent" },
  settings_pending_restart: {
    when: { observations: [primary, seen("pg2", replicaFacts({ pending_restart: ["max_connections"] }))] },
    next: "odoo-pg up",
  },
  configuration_not_applied: { when: { configChanged: true }, next: "odoo-pg up" },
};
