import type { CertificateEnds } from "./certificates.ts";
import type { PoolersStatus } from "../model/pooler.ts";
import type { WaitingClients } from "../model/waiting.ts";
import type { CopyStatus } from "../model/backups/copy-status.ts";
import type { KeptAttachments } from "../model/backups/kept-attachments.ts";
import type { Archiving, ArchiveStatus } from "../model/backups/archive-status.ts";
import type { BackupStatus } from "../model/backups/backup-report.ts";
import type { SecondDrill } from "../model/backups/second-drill.ts";
import type { Config } from "../config/schema.ts";
import { layoutOf, nodeLayoutOf, slotName, UPSTREAM, type NodeConfig } from "../config/layout.ts";
import { bytesBehind } from "../model/lsn.ts";
import { shareOf } from "../model/troubles/troubles.ts";
import {
  STATE_DURING,
  type NodeOperation,
  type NodeState,
  type StartFailure,
  type WaitingState,
} from "../model/node-state.ts";
import { isStopped, type Silence } from "../model/silence.ts";
import {
  factsOf,
  fullFactsOf,
  identityOf,
  isPrimary,
  lagOf,
  silenceIn,
  type Identity,
  type Lag,
  type NodeObservation,
  type ServerFacts,
} from "../model/observation.ts";
import type { NextStep } from "../next-step.ts";
import type { TablespaceTrouble } from "../model/tablespaces.ts";
import type { SlotStatus } from "./documents/status.ts";

/** What the agent reports about one node, besides what the server itself reports. */
export interface NodeAccount {
  readonly name: string;
  readonly out_of_pool: string | null;
  /** What it does with the node now: start, restart, seed, stop, remove. */
  readonly operation: NodeOperation | null;
  /** Why the node is not started: it waits for a decision. */
  readonly waiting: { readonly state: WaitingState; readonly reason: string; readonly next: NextStep } | null;
  /** Why the last start failed: a sentence, with the server's words, and what they mean. */
  readonly failure: string | null;
  readonly failure_cause: StartFailure | null;
  /** What to do about that, where it is known. */
  readonly failure_next: NextStep | null;
  /** Whether it is a replica that needs WAL which the primary no longer has. */
  readonly stranded: boolean;
  /** Why the primary does not let it replicate, in the server's words; null where it would. */
  readonly refusal: string | null;
  /** Tablespaces of the primary for which it has no place of its own. */
  readonly tablespaces: readonly TablespaceTrouble[];
  /** Milliseconds since the epoch. */
  readonly last_seen: number | null;
}

/** A setting by which commits do not wait as read-your-writes needs: for everybody by a file, else for a role or database. */
export interface OverruledCommits {
  readonly setting: string;
  readonly value: string;
  readonly file: string | null;
  readonly role: string | null;
  readonly database: string | null;
}

/** What the agent reports about itself. */
export interface AgentAccount {
  readonly pid: number;
  /** Whether it keeps the servers running, or waits for an order. */
  readonly keeping: boolean;
  readonly operation: string | null;
  readonly haproxy: boolean;
  readonly pool: readonly string[];
  /** The clients that wait at the endpoints; null where that is not known. */
  readonly waiting_clients: WaitingClients | null;
  /** PgBouncer at the endpoints; null where that is not known. */
  readonly poolers: PoolersStatus | null;
  /** By what commits do not wait as read-your-writes needs. */
  readonly overrides: readonly OverruledCommits[];
  /** What keeps the agent from keeping rights in databases, and where the superuser needs a password on its own host. */
  readonly rights: { readonly problem: string | null; readonly by_password: string | null };
  /** Where the console is to be, and why it is not served there; null where there is to be none. */
  readonly console: { readonly url: string; readonly problem: string | null } | null;
  readonly nodes: readonly NodeAccount[];
  /** How well attachments are kept for any second; null where they are not to be. */
  readonly attachments: KeptAttachments | null;
  /** Channels by which alarms do not arrive, since when (milliseconds since the epoch), and why. */
  readonly failing_channels: readonly {
    readonly name: string;
    readonly since: number;
    readonly error: string;
  }[];
}

export interface DiskUse {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** What reseeds, rejoins and removed nodes left on it; only looked at where it fills up. */
  readonly keptAside?: readonly KeptAside[] | undefined;
  /** Other disks that the node's files lie on: of tablespaces, or of its WAL. */
  readonly others?: readonly OtherDisk[] | undefined;
}

export interface OtherDisk {
  readonly path: string;
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface KeptAside {
  readonly path: string;
  /** Undefined while it is not counted yet. */
  readonly bytes: number | undefined;
}

/** How full a disk is, from 0 to 1. */
export function fullness({ totalBytes, freeBytes }: DiskUse): number {
  return totalBytes > 0 ? 1 - freeBytes / totalBytes : 0;
}

/** Whether it is so full that a warning is due. */
export function isFilling(disk: DiskUse): boolean {
  return fullness(disk) >= shareOf("disk_filling");
}

/** Everything that a status is made from. */
export interface StatusInput {
  /** The configuration of what runs. */
  readonly config: Config;
  /** Whether the configuration file says something else by now. */
  readonly configChanged: boolean;
  /** The cluster's own record; undefined when it was never started. */
  readonly record:
    | {
        readonly primary: string;
        readonly systemIdentifier: string | null;
        /** When `down` stopped it, and who asked for that; undefined while it is to run. */
        readonly stopped?: { readonly at: string; readonly by: string } | undefined;
      }
    | undefined;
  /** One observation of each node of the configuration. */
  readonly observations: readonly NodeObservation[];
  /** Undefined when the agent does not answer. */
  readonly agent: AgentAccount | undefined;
  /** The agent's version, where it is another program than the one that asks. */
  readonly otherAgent?: string | undefined;
  readonly databaseBytes: number | undefined;
  /** The databases of the primary that hold somebody's data; undefined where that is not known. */
  readonly databases?: readonly string[] | undefined;
  /** The disks of the nodes' data directories, by node. */
  readonly disks: ReadonlyMap<string, DiskUse>;
  /** When certificates expire; undefined where that was not read. */
  readonly certificates?: CertificateEnds | undefined;
  /** The address at which programs of this host reach the endpoints, and whether they take connections. */
  readonly endpoints: {
    readonly host: string;
    readonly readAnswers: boolean | undefined;
    readonly writeAnswers: boolean | undefined;
  };
  /** What the last run of backups left, and when the cluster was first launched (ISO 8601); undefined: not read. */
  readonly backups?:
    | {
        readonly record: BackupStatus | undefined;
        readonly damage?: string | undefined;
        readonly launchedAt: string | undefined;
      }
    | undefined;
  /** What is archived, and which base backups there are; undefined where that was not read. */
  readonly archive?:
    | { readonly status: ArchiveStatus | undefined; readonly archiving: Archiving | undefined }
    | undefined;
  /** What drills of a second left; undefined where there was none, or where that was not read. */
  readonly secondDrill?: SecondDrill | undefined;
  /** The state of copies elsewhere; undefined where that was not read. */
  readonly copies?: readonly CopyStatus[] | undefined;
  /** Our clock, milliseconds since the epoch. */
  readonly now: number;
  /** The configuration file that a command has to name to meet this cluster; undefined where it is found without. */
  readonly configFile: string | undefined;
}

/** One node, with all that is known of it brought together. */
export interface NodeView {
  readonly name: string;
  readonly node: NodeConfig;
  readonly dataDir: string;
  readonly role: "primary" | "replica";
  readonly state: NodeState;
  /** What it reports about itself; undefined where it does not answer. */
  readonly identity: Identity | undefined;
  /** All that a server of ours reports; undefined for a primary that odoo-pg does not run. */
  readonly facts: ServerFacts | undefined;
  readonly account: NodeAccount | undefined;
  /** Why it does not answer; undefined when it does. */
  readonly silence: Silence | undefined;
  readonly lag: Lag;
  readonly slot: SlotStatus | undefined;
  readonly disk: DiskUse | undefined;
  readonly pooled: boolean;
  /** Milliseconds since the epoch. */
  readonly lastSeen: number | undefined;
}

export interface ClusterView {
  readonly input: StatusInput;
  /** The node that should be primary: as recorded, before the first launch as configured. */
  readonly expectedPrimary: string;
  /** The primary that counts: the recorded one if it answers as a primary, else any node that does. */
  readonly primary: NodeView | undefined;
  readonly nodes: readonly NodeView[];
  /** No server, no endpoint, no agent at work. */
  readonly nothingAnswers: boolean;
}

/** The configuration with the primary that is followed: a node in the status, but not one to start or stop here. */
export function withUpstream(config: Config, { host, port }: { host: string; port: number }): Config {
  return { ...config, nodes: [{ name: UPSTREAM, host, port }, ...config.nodes] };
}

export function viewOf(input: StatusInput): ClusterView {
  const { config, agent, endpoints } = input;
  const expectedPrimary = input.record?.primary ?? config.nodes[0]?.name ?? "";
  const observations = new Map(input.observations.map((observation) => [observation.name, observation]));
  const primaryName = isPrimary(observations.get(expectedPrimary))
    ? expectedPrimary
    : config.nodes.find(({ name }) => isPrimary(observations.get(name)))?.name;
  const primary = primaryName === undefined ? undefined : observations.get(primaryName);
  const primaryFacts = fullFactsOf(primary);
  const someServer = input.observations.some(
    ({ name, answer }) => name !== UPSTREAM && (answer.kind !== "none" || answer.silence.kind === "starting"),
  );
  const someEndpoint = endpoints.readAnswers === true || endpoints.writeAnswers === true;
  const agentWorks = agent !== undefined && (agent.keeping || agent.operation !== null);
  const nothingAnswers = !someServer && !someEndpoint && !agentWorks;

  const layout = layoutOf(config.state_dir);
  const nodes = config.nodes.map((node): NodeView => {
    const { name } = node;
    const observation = observations.get(name);
    const identity = identityOf(observation);
    const facts = factsOf(observation);
    const account = agent?.nodes.find((candidate) => candidate.name === name);
    const role = (identity ? isPrimary(observation) : name === expectedPrimary) ? "primary" : "replica";
    const replica = role === "replica";
    return {
      name,
      node,
      dataDir: nodeLayoutOf(layout, node).dataDir,
      role,
      state: stateOf(name, observation, primaryFacts, account),
      identity,
      facts,
      account,
      silence: silenceIn(observation),
      lag: facts && replica ? lagOf(facts, identityOf(primary)) : { bytes: undefined, seconds: undefined },
      // A primary that odoo-pg does not run is not asked for its slots.
      slot: primaryFacts && replica ? slotOf(name, primaryFacts) : undefined,
      disk: input.disks.get(name),
      pooled: agent?.pool.includes(name) ?? false,
      lastSeen: observation?.lastSeen ?? account?.last_seen ?? undefined,
    };
  });
  return {
    input,
    expectedPrimary,
    primary: nodes.find(({ name }) => name === primaryName),
    nodes,
    nothingAnswers,
  };
}

function stateOf(
  name: string,
  observation: NodeObservation | undefined,
  primary: ServerFacts | undefined,
  account: NodeAccount | undefined,
): NodeState {
  const facts = factsOf(observation);
  if (facts?.in_recovery && account?.stranded) return "needs reseed";
  if (facts) return runningState(name, facts, primary);
  if (observation?.answer.kind === "identity") return "running";
  if (account?.operation) return STATE_DURING[account.operation];
  if (account?.waiting) return account.waiting.state;
  const silence = silenceIn(observation);
  if (silence?.kind === "starting") return "starting";
  if (account?.failure) return "start fails";
  return silence && isStopped(silence) ? "stopped" : "unreachable";
}

function runningState(name: string, facts: ServerFacts, primary: ServerFacts | undefined): NodeState {
  if (!facts.in_recovery) return "running";
  if (facts.receiver_status !== "streaming") return "not streaming";
  if (facts.replay_paused) return "replay paused";
  const sender = primary?.standbys.find((standby) => standby.application_name === name);
  return sender?.state === "catchup" ? "catching up" : "streaming";
}

function slotOf(name: string, primary: ServerFacts): SlotStatus {
  const slot = primary.slots.find((candidate) => candidate.slot_name === slotName(name));
  if (!slot) return { state: "missing", kept_bytes: null };
  const kept =
    primary.current_lsn === null || slot.restart_lsn === null
      ? null
      : bytesBehind(primary.current_lsn, slot.restart_lsn);
  if (slot.wal_status === "lost") return { state: "lost", kept_bytes: null };
  if (slot.wal_status === "unreserved") return { state: "unreserved", kept_bytes: kept };
  return { state: slot.active ? "ok" : "inactive", kept_bytes: kept };
}
