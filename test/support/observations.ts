import type { Silence } from "../../src/model/silence.ts";
import type { Identity, NodeObservation, ServerFacts } from "../../src/model/observation.ts";
import type { AgentAccount, NodeAccount, StatusInput } from "../../src/cluster/view.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";

/** Hand-made looks at a cluster, for what decides on them. */

export const MB = 1024 * 1024;
export const GB = 1024 * MB;
export const NOW = Date.UTC(2026, 10, 22, 9, 41);
const END = 0x10_0000_0000n;
const DISK = 100 * GB;
export const SYSTEM_IDENTIFIER = "7300000000000000001";

type Slot = ServerFacts["slots"][number];
type Standby = ServerFacts["standbys"][number];

/** A slot that is in use and level, unless changed; `behind` is the WAL kept for it in bytes. */
export function slot(
  name: string,
  { behind = 0, ...changes }: Partial<Omit<Slot, "slot_name">> & { behind?: number } = {},
): Slot {
  return {
    slot_name: name,
    active: true,
    restart_lsn: END - BigInt(behind),
    wal_status: "reserved",
    ...changes,
  };
}

export function standby(name: string, state = "streaming"): Standby {
  return {
    application_name: name,
    client_addr: "127.0.0.1",
    state,
    sync_state: "async",
    sent_lsn: END,
    flush_lsn: END,
    replay_lsn: END,
    backend_start: NOW - 60_000,
  };
}

/** A primary on timeline 4 with the replica pg2. */
export function primaryFacts(changes: Partial<ServerFacts> = {}): ServerFacts {
  return {
    now: NOW,
    started_at: NOW - 60_000,
    processes_since: NOW - 60_000,
    configuration_read_at: NOW - 60_000,
    version: "15.18 (Debian 15.18-0+deb12u1)",
    system_identifier: SYSTEM_IDENTIFIER,
    in_recovery: false,
    timeline: 4,
    wal_segment_bytes: 16 * MB,
    pending_restart: [],
    synchronous_standby_names: "",
    current_lsn: END,
    standbys: [standby("pg2")],
    slots: [slot("pg2")],
    receive_lsn: null,
    replay_lsn: null,
    last_replay_at: null,
    receiver_status: null,
    latest_end_lsn: null,
    latest_end_at: null,
    replay_paused: false,
    ...changes,
  };
}

/** A replica of that primary: streaming and level, unless changed; `behind` in bytes. */
export function replicaFacts({
  behind = 0,
  ...changes
}: Partial<ServerFacts> & { behind?: number } = {}): ServerFacts {
  return {
    ...primaryFacts(),
    in_recovery: true,
    current_lsn: null,
    standbys: [],
    slots: [],
    receive_lsn: END,
    replay_lsn: END - BigInt(behind),
    last_replay_at: NOW - 5000,
    receiver_status: "streaming",
    latest_end_lsn: END,
    latest_end_at: NOW,
    ...changes,
  };
}

export function seen(name: string, facts: ServerFacts): NodeObservation {
  return { name, at: NOW, answer: { kind: "facts", depth: "full", facts }, lastSeen: NOW };
}

/** A primary that somebody else runs: it says who it is, and no more. */
export function identified(name: string, changes: Partial<Identity> = {}): NodeObservation {
  const { system_identifier, timeline, current_lsn } = primaryFacts();
  const identity = { system_identifier, timeline, current_lsn, ...changes };
  return { name, at: NOW, answer: { kind: "identity", identity }, lastSeen: NOW };
}

export function silent(name: string, kind: Silence["kind"], detail?: string): NodeObservation {
  const silence = { kind, ...(detail === undefined ? {} : { detail }) };
  return { name, at: NOW, answer: { kind: "none", silence }, lastSeen: undefined };
}

export function account(name: string, changes: Partial<NodeAccount> = {}): NodeAccount {
  return {
    name,
    out_of_pool: null,
    operation: null,
    waiting: null,
    failure: null,
    failure_cause: null,
    failure_next: null,
    stranded: false,
    refusal: null,
    tablespaces: [],
    last_seen: null,
    ...changes,
  };
}

/** An agent that keeps everything running, with every node but the first in the pool. */
export function agentOf(names: readonly string[], changes: Partial<AgentAccount> = {}): AgentAccount {
  return {
    pid: 4711,
    keeping: true,
    operation: null,
    haproxy: true,
    pool: names.slice(1),
    waiting_clients: null,
    poolers: null,
    overrides: [],
    failing_channels: [],
    attachments: null,
    rights: { problem: null, by_password: null },
    console: null,
    nodes: names.map((name) => account(name)),
    ...changes,
  };
}

interface Changes {
  readonly nodes?: readonly string[];
  readonly observations?: readonly NodeObservation[];
  readonly agent?: AgentAccount | undefined;
  readonly record?: StatusInput["record"];
  readonly otherAgent?: string;
  readonly databaseBytes?: number | undefined;
  readonly databases?: readonly string[];
  /** Used share of each node's disk of 100 GB. */
  readonly disks?: Readonly<Record<string, number>>;
  /** Whether both endpoints take connections. */
  readonly answers?: boolean;
  readonly readAnswers?: boolean;
  readonly backup?: Readonly<Record<string, unknown>>;
  readonly configChanged?: boolean;
  readonly parameters?: Readonly<Record<string, string>>;
  readonly maxLagSeconds?: number;
  readonly consistency?: "bounded" | "read-your-writes";
  readonly stateDir?: string;
  readonly backups?: StatusInput["backups"];
  readonly archive?: StatusInput["archive"];
  readonly secondDrill?: StatusInput["secondDrill"];
  readonly copies?: StatusInput["copies"];
  readonly certificates?: StatusInput["certificates"];
  readonly configFile?: string;
}

/** All that a status is made from: of a healthy cluster with pg1 and pg2, unless changed. */
export function cluster(changes: Changes = {}): StatusInput {
  const names = changes.nodes ?? ["pg1", "pg2"];
  const { maxLagSeconds, consistency = "bounded" } = changes;
  const used = changes.disks ?? Object.fromEntries(names.map((name) => [name, 0.6]));
  const given = <K extends keyof Changes>(key: K, otherwise: Changes[K]): Changes[K] =>
    key in changes ? changes[key] : otherwise;
  return {
    config: resolvedConfigSchema.parse({
      cluster: "prod",
      state_dir: changes.stateDir ?? "/var/lib/odoo-pg/prod",
      listen: ["127.0.0.1"],
      nodes: names.map((name, index) => ({ name, port: index < 2 ? 5433 + index : 5440 + index })),
      endpoints: {
        read: { consistency, ...(maxLagSeconds === undefined ? {} : { max_lag_seconds: maxLagSeconds }) },
      },
      postgres: { parameters: changes.parameters ?? {} },
      backup: changes.backup ?? {},
    }),
    configChanged: changes.configChanged ?? false,
    record: given("record", { primary: "pg1", systemIdentifier: SYSTEM_IDENTIFIER }),
    observations: changes.observations ?? [seen("pg1", primaryFacts()), seen("pg2", replicaFacts())],
    agent: given("agent", agentOf(names)),
    otherAgent: changes.otherAgent,
    databases: changes.databases,
    databaseBytes: given("databaseBytes", 38.2 * GB),
    disks: new Map(
      Object.entries(used).map(([name, share]) => [
        name,
        { totalBytes: DISK, freeBytes: Math.round(DISK * (1 - share)) },
      ]),
    ),
    endpoints: {
      host: "127.0.0.1",
      readAnswers: changes.readAnswers ?? changes.answers ?? true,
      writeAnswers: changes.answers ?? true,
    },
    backups: changes.backups,
    archive: changes.archive,
    secondDrill: changes.secondDrill,
    copies: changes.copies,
    certificates: changes.certificates,
    now: NOW,
    configFile: changes.configFile,
  };
}
