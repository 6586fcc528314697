import { LONG_WAIT_SECONDS } from "../model/waiting.ts";
import type { WaitingState } from "../model/node-state.ts";
import { sayOf } from "../model/silence.ts";
import type { Config } from "../config/schema.ts";
import { isPooled } from "../config/pooling.ts";
import { parseBytes } from "../config/postgres-units.ts";
import { keepsMuch } from "./slot-wal.ts";
import { slotWalLimit } from "../config/settings/advised.ts";
import { archiveWarnings, attachmentWarnings } from "./archive.ts";
import { certificateWarnings } from "./certificates.ts";
import { copyWarnings } from "./copies.ts";
import { rotationWarnings } from "./rotation.ts";
import { secondDrillWarnings } from "./second-drill.ts";
import { backupWarnings } from "./backups.ts";
import { connectionsTold } from "./connections.ts";
import { commitWarnings } from "./commit-rules.ts";
import { showBytes, showSeconds, showShare } from "../model/quantities.ts";
import { fullness, isFilling, type ClusterView, type KeptAside, type NodeView } from "./view.ts";
import { shareOf, type WarningCode } from "../model/troubles/troubles.ts";
import { warning, type FoundWarning } from "../model/warnings.ts";
import { command, nextStep, odooPg, type NextText } from "../next-step.ts";
import { shellWord } from "../shell-word.ts";

/** Everything that is not as it should be, the worst first. One cause gives one warning, with what to do next. */
export function findWarnings(view: ClusterView): FoundWarning[] {
  const ofNodes = view.nodes.flatMap((node) => ofNode(node, view));
  const ofCommits = commitWarnings(view);
  const found = view.nothingAnswers
    ? [notRunning(view), ...view.nodes.flatMap((node) => held(node)), ...disks(view)]
    : [
        ...primaries(view),
        ...waitingWrites(view),
        ...ofNodes,
        ...endpoints(view),
        ...connections(view),
        ...agent(view),
        ...ofCommits,
        ...pool(view, [...ofNodes, ...ofCommits]),
        ...disks(view),
        ...backups(view),
        ...archive(view),
        ...alarmChannels(view),
        ...settings(view),
        ...consolePage(view),
        ...rights(view),
        ...certificates(view),
      ];
  const rank = ({ severity }: FoundWarning): number => (severity === "critical" ? 0 : 1);
  return found.sort((a, b) => rank(a) - rank(b));
}

function backups({ input }: ClusterView): FoundWarning[] {
  if (!input.backups) return [];
  const { config, now } = input;
  return backupWarnings({ settings: config.backup, ...input.backups, now });
}

function archive({ primary, input }: ClusterView): FoundWarning[] {
  const { config, agent, now } = input;
  return [
    ...archiveWarnings({ primary, ...input.archive, enabled: config.backup.any_second.enabled }),
    ...secondDrillWarnings(config.backup.any_second, input.secondDrill, input.archive?.status, now),
    ...rotationWarnings(input.backups?.record, input.archive?.status),
    ...attachmentWarnings(agent?.attachments ?? null, now),
    ...copyWarnings(config.backup.offsite, input.copies, now),
  ];
}

function consolePage({ input: { agent } }: ClusterView): FoundWarning[] {
  const problem = agent?.console?.problem ?? undefined;
  if (problem === undefined) return [];
  return [
    warning("console_not_served", {
      message: `The console is not served: ${problem}.`,
      next: nextStep`Free the port, or set another "console.port" (or "console.listen") and run: ${odooPg("up")}`,
    }),
  ];
}

function certificates({ input: { config, certificates: ends, now } }: ClusterView): FoundWarning[] {
  return ends ? certificateWarnings(config, ends, now) : [];
}

function rights({ input: { agent } }: ClusterView): FoundWarning[] {
  const { problem = null, by_password = null } = agent?.rights ?? {};
  return [
    ...(problem === null
      ? []
      : [
          warning("rights_not_kept", {
            message: `New databases stay open to every role, and new roles do not pass the endpoints: ${oneLine(problem)}.`,
            next: odooPg("logs", "agent"),
          }),
        ]),
    ...(by_password === null
      ? []
      : [
          warning("superuser_by_password", {
            node: by_password,
            message: `${by_password} lets the superuser in on its own host only by password: if it is lost, odoo-pg is locked out.`,
            next: odooPg("up"),
          }),
        ]),
  ];
}

function notRunning({ input, nodes }: ClusterView): FoundWarning {
  const { config, record } = input;
  const stopped = nodes.every(({ silence, state }) => silence === undefined || state === "stopped");
  if (stopped && record?.stopped) {
    const { at, by } = record.stopped;
    return warning("cluster_stopped", {
      message: `Cluster ${config.cluster} was stopped by ${by} at ${at.slice(0, 16)}Z. Its data stays.`,
      next: odooPg("up"),
    });
  }
  return warning("cluster_not_running", {
    message: !record
      ? `Cluster ${config.cluster} was never started here (${config.state_dir} holds none).`
      : stopped
        ? `Cluster ${config.cluster} is not running.`
        : `Nothing of cluster ${config.cluster} answers.`,
    next: odooPg("up"),
  });
}

function primaries(view: ClusterView): FoundWarning[] {
  const { expectedPrimary, primary } = view;
  const found: FoundWarning[] = [];
  const expected = view.nodes.find(({ name }) => name === expectedPrimary);
  const answering = view.nodes.filter(({ identity, role }) => identity && role === "primary");
  if (expected && primary !== expected) {
    found.push(
      warning("primary_down", {
        node: expectedPrimary,
        message: expected.identity
          ? `${expectedPrimary}, the recorded primary, runs as a replica: nothing can be written.`
          : `${expectedPrimary}, the primary, ${sayWhy(expected)}: nothing can be written.`,
        next: afterSilence(expected, view),
      }),
    );
  }
  if (answering.length > 1) {
    const others = answering.filter((node) => node !== primary);
    for (const other of others) {
      found.push(
        warning("two_primaries", {
          node: other.name,
          message: `${other.name} answers as a primary beside ${primary?.name ?? "?"}: what is written to it is missing on the others. Save what only it has, then stop it.`,
          next: `kill -INT $(head -n 1 ${shellWord(`${other.dataDir}/postmaster.pid`)})`,
        }),
      );
    }
  } else if (primary && primary.name !== expectedPrimary) {
    found.push(
      warning("unexpected_primary", {
        node: primary.name,
        message: `${primary.name} answers as a primary, but ${expectedPrimary} is the recorded primary: no endpoint leads writes to ${primary.name}. Someone promoted it without odoo-pg.`,
        next: odooPg("logs", primary.name),
      }),
    );
  }
  return found;
}

/** Commits wait for every replica that is named: also for one that is not there. */
function waitingWrites({ primary, nodes, input }: ClusterView): FoundWarning[] {
  const named = [...(primary?.facts?.synchronous_standby_names ?? "").matchAll(/"([^"]+)"/g)];
  const absent = named.flatMap(([, name = ""]) => {
    const sender = primary?.facts?.standbys.find((one) => one.application_name === name);
    const there = nodes.some((node) => node.name === name && node.facts !== undefined);
    return there && sender?.state === "streaming" ? [] : [name];
  });
  if (!absent.length) return [];
  return [
    warning("writes_wait", {
      message: `Commits on ${primary?.name ?? "?"} wait for ${absent.join(", ")}, which ${absent.length > 1 ? "do" : "does"} not answer as a replica: no write returns until the agent stops waiting for ${absent.length > 1 ? "them" : "it"}.`,
      next: input.agent?.keeping ? odooPg("status", "--watch") : odooPg("up"),
    }),
  ];
}

/** What a node does that does not answer, as it follows its name. */
function sayWhy({ state, silence, account }: NodeView): string {
  if (account?.waiting) return "is not started";
  if (state === "starting") return "is starting, perhaps replaying its WAL after a crash";
  if (state === "restarting" || state === "seeding" || state === "stopping") return `is ${state}`;
  return silence === undefined ? "does not answer as it should" : sayOf(silence);
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** What to do about a node that does not answer. */
function afterSilence({ name, account, identity, state }: NodeView, { input }: ClusterView): NextText {
  const { agent } = input;
  if (identity) return odooPg("logs", name);
  if (account?.waiting) return account.waiting.next;
  if (account?.failure_next && account.operation === null) return account.failure_next;
  if (agent && (agent.operation !== null || account?.operation)) return odooPg("status", "--watch");
  if (state === "starting") return odooPg("logs", name, "-f");
  return agent?.keeping ? odooPg("logs", name) : odooPg("up");
}

function ofNode(node: NodeView, view: ClusterView): FoundWarning[] {
  const { identity, name } = node;
  const { record } = view.input;
  const identifier = record?.systemIdentifier ?? view.primary?.identity?.system_identifier;
  if (identity && identifier !== undefined && identity.system_identifier !== identifier) {
    return [
      warning("other_system_identifier", {
        node: name,
        message: `${name} holds the data of another cluster (system identifier ${identity.system_identifier}, this cluster has ${identifier}).`,
        next: nextStep`see which data directory it runs on: ${odooPg("psql", name, "--", "-c", "SHOW data_directory")}`,
      }),
    ];
  }
  const found = identity ? [] : held(node);
  if (node.role === "primary" || node.name === view.expectedPrimary) return found;
  if (!identity && found.length === 0) {
    found.push(
      warning("replica_down", {
        node: name,
        message: `${name}, a replica, ${sayWhy(node)}.`,
        next: afterSilence(node, view),
      }),
    );
  }
  // Without a primary no replica can stream: that is said once.
  if (view.primary) found.push(...ofReplica(node, view.primary, view));
  return found;
}

/** Why a node is not started: it waits for a decision, or its start fails. */
function held({ name, account, dataDir }: NodeView): FoundWarning[] {
  if (account?.waiting) {
    const { state, reason, next } = account.waiting;
    return [
      warning(account.tablespaces.length ? "tablespace_shared" : WAITING[state], {
        node: name,
        message: reason || `${name} waits.`,
        next,
      }),
    ];
  }
  if (!account?.failure) return [];
  return [
    warning("start_failing", {
      node: name,
      message: account.failure,
      next:
        account.failure_cause === "disk_full"
          ? nextStep`make room, and odoo-pg starts it by itself: ${command("df", "-h", dataDir)}`
          : (account.failure_next ?? odooPg("logs", name)),
    }),
  ];
}

/** The warning about a node that waits for a decision. */
const WAITING = {
  "needs rejoin": "needs_rejoin",
  "needs reseed": "needs_reseed",
  refused: "node_refused",
} as const satisfies Record<WaitingState, WarningCode>;

function ofReplica(replica: NodeView, primary: NodeView, view: ClusterView): FoundWarning[] {
  const { name, facts, slot } = replica;
  if (slot?.state === "lost") {
    return [
      warning("slot_lost", {
        node: name,
        message: `${name} can no longer catch up: ${primary.name} removed WAL that it still needs. Rebuild it; its present data is kept.`,
        next: odooPg("reseed", name),
      }),
    ];
  }
  const found = [...ofSlot(replica, primary, view)];
  if (!facts || !primary.identity) return found;
  const theirs = primary.identity.timeline;
  const streams = facts.receiver_status === "streaming";
  const refusal = streams ? null : (replica.account?.refusal ?? null);
  // A replica that does not stream tells the timeline of its last checkpoint, which may be from before a change of the primary.
  if (refusal !== null && facts.timeline <= theirs) {
    found.push(
      warning("replica_not_streaming", {
        node: name,
        message: `${name} does not stream from ${primary.name}: its data grows stale. ${primary.name} refuses the role "replicator" (${oneLine(refusal)}).`,
        next: nextStep`give the role its password and rights back: ${odooPg("up")}`,
      }),
    );
  } else if (facts.timeline > theirs || (facts.timeline < theirs && !streams)) {
    const diverged = facts.timeline > theirs;
    found.push(
      warning("wrong_timeline", {
        node: name,
        message: `${name} is on timeline ${facts.timeline}, ${primary.name} on ${theirs}: it does not follow.${diverged ? " Rebuild it; its present data is kept." : ""}`,
        next: diverged ? odooPg("reseed", name) : odooPg("logs", name),
      }),
    );
  } else if (!streams && replica.account?.stranded) {
    found.push(
      warning("needs_reseed", {
        node: name,
        message: `${name} cannot catch up: ${primary.name} no longer has the WAL it needs. Rebuild it; its present data is kept.`,
        next: odooPg("reseed", name),
      }),
    );
  } else if (!streams) {
    found.push(
      warning("replica_not_streaming", {
        node: name,
        message: `${name} does not stream from ${primary.name}: its data grows stale.`,
        next: odooPg("logs", name),
      }),
    );
  } else if (facts.replay_paused) {
    found.push(
      warning("replay_paused", {
        node: name,
        message: `Replay is paused on ${name}${behindBy(replica)}: someone called pg_wal_replay_pause().`,
        next: odooPg("psql", name, "--", "-c", "SELECT pg_wal_replay_resume()"),
      }),
    );
  } else if (isBehind(replica, view.input.config)) {
    found.push(
      warning("replica_behind", {
        node: name,
        message: `${name}${behindBy(replica, " is ")} (limit ${limitOf(view.input.config)})${replica.pooled ? "" : ": it serves no reads until it has caught up"}.`,
        next: odooPg("status", "--watch"),
      }),
    );
  }
  return found;
}

function ofSlot(replica: NodeView, primary: NodeView, view: ClusterView): FoundWarning[] {
  const { name, slot } = replica;
  // A replica that is being made gets its slot on the way.
  if (slot?.state === "missing" && replica.facts) {
    return [
      warning("slot_missing", {
        node: name,
        message: `${name} has no slot on ${primary.name}: WAL that it needs may be removed at any time.`,
        next: odooPg("up"),
      }),
    ];
  }
  const kept = slot?.kept_bytes ?? 0;
  const limit = slotLimit(view.input.config, primary);
  const disk = primary.disk?.totalBytes;
  const much = slot?.state === "unreserved" || keepsMuch(kept, limit, disk);
  if (!much) return [];
  const beyond =
    limit === undefined
      ? "without any limit (max_slot_wal_keep_size)"
      : `and no more than ${showBytes(limit)}: beyond that ${name} has to be rebuilt`;
  return [
    warning("slot_keeps_wal", {
      node: name,
      message:
        slot?.state === "unreserved"
          ? `The slot of ${name} is beyond its limit: ${primary.name} may remove WAL that ${name} needs at any moment.`
          : `${primary.name} keeps ${showBytes(kept)} of WAL for ${name}, ${beyond}.`,
      next: replica.facts ? odooPg("logs", name) : afterSilence(replica, view),
    }),
  ];
}

function behindBy({ lag }: NodeView, verb = ", "): string {
  if (lag.bytes === undefined) return "";
  const seconds = lag.seconds === undefined ? "" : ` / ${showSeconds(lag.seconds)}`;
  return `${verb}${showBytes(lag.bytes)}${seconds} behind`;
}

function isBehind({ lag, pooled }: NodeView, config: Config): boolean {
  const { max_lag, max_lag_seconds } = config.endpoints.read;
  if (lag.bytes === undefined) return false;
  if (lag.bytes > max_lag) return true;
  // The age of what was last replayed overstates on a primary with pauses: the agent, which measures, has the last word.
  return max_lag_seconds !== undefined && !pooled && (lag.seconds ?? 0) > max_lag_seconds;
}

function limitOf(config: Config): string {
  const { max_lag, max_lag_seconds } = config.endpoints.read;
  return max_lag_seconds === undefined
    ? showBytes(max_lag)
    : `${showBytes(max_lag)} / ${showSeconds(max_lag_seconds)}`;
}

/** Bytes that slots may keep on the primary; undefined when there is no limit. */
function slotLimit(config: Config, primary: NodeView): number | undefined {
  const set = config.postgres.parameters["max_slot_wal_keep_size"];
  if (set === undefined) return primary.disk && slotWalLimit(primary.disk.totalBytes);
  // Without a unit PostgreSQL reads megabytes.
  const bytes = parseBytes(/^\d+$/.test(set) ? `${set}MB` : set);
  return typeof bytes === "number" ? bytes : undefined;
}

function endpoints({ input }: ClusterView): FoundWarning[] {
  const { agent, config } = input;
  const { host, readAnswers, writeAnswers } = input.endpoints;
  const next = agent?.keeping ? odooPg("logs", "haproxy") : odooPg("up");
  if (agent?.operation === "up" && !agent.haproxy) {
    return [
      warning("haproxy_down", {
        message: "The endpoints are not open yet: the cluster is starting.",
        next: odooPg("status", "--watch"),
      }),
    ];
  }
  const poolers = silentPoolers(input);
  if (agent?.haproxy === false || (readAnswers === false && writeAnswers === false && !poolers.length)) {
    return [
      warning("haproxy_down", {
        message: "HAProxy does not answer: neither endpoint serves.",
        next,
      }),
    ];
  }
  // An endpoint that PgBouncer does not serve is reported as such.
  const isTold = (name: Endpoint): boolean => agent?.poolers?.[name]?.answers === false;
  const closed = [
    ...(readAnswers === false ? (["read"] as const) : []),
    ...(writeAnswers === false ? (["write"] as const) : []),
  ].filter((name) => !isTold(name));
  return [
    ...closed.map((name) =>
      warning("endpoint_down", {
        message: `The ${name} endpoint (${host}:${config.endpoints[name].port}) takes no connections.`,
        next: agent?.keeping && isPooled(config, name) ? odooPg("logs", POOLER_LOG[name]) : next,
      }),
    ),
    ...poolers,
    ...waitingClients(input),
  ];
}

type Endpoint = "read" | "write";

/** The log of the PgBouncer in front of each endpoint. */
const POOLER_LOG = { write: "pgbouncer", read: "pgbouncer-read" } as const;

function silentPoolers({ agent, config, endpoints: { host } }: ClusterView["input"]): FoundWarning[] {
  return (["write", "read"] as const)
    .filter((name) => agent?.poolers?.[name]?.answers === false)
    .map((name) =>
      warning("endpoint_down", {
        message: `PgBouncer does not answer: the ${name} endpoint (${host}:${config.endpoints[name].port}) serves nobody.`,
        next: odooPg("logs", POOLER_LOG[name]),
      }),
    );
}

/** A restart is over before this is said; what stays is a server that is full, or not there. */
function waitingClients({ agent, config }: ClusterView["input"]): FoundWarning[] {
  return (["write", "read"] as const).flatMap((name) => {
    const waiting = agent?.waiting_clients?.[name];
    if (!waiting || waiting.longest_seconds < LONG_WAIT_SECONDS) return [];
    const { clients, longest_seconds } = waiting;
    const who = clients === 1 ? "1 client waits" : `${clients} clients wait`;
    return [
      warning("clients_waiting", {
        message: `${who} at the ${name} endpoint for a server, for up to ${Math.round(longest_seconds)} s: it is full or down. After ${config.endpoints.wait_seconds} s they are refused.`,
        next: odooPg("doctor"),
      }),
    ];
  });
}

function connections({ nodes }: ClusterView): FoundWarning[] {
  return nodes.flatMap(({ name, facts, role }) => {
    const told = facts?.connections && connectionsTold(name, facts.connections, role === "replica");
    return told ? [warning("connections_nearly_used", { node: name, ...told })] : [];
  });
}

function agent({ input }: ClusterView): FoundWarning[] {
  const { agent } = input;
  if (!agent) {
    return [
      warning("agent_not_running", {
        message:
          "The agent does not answer: reads go to the primary, and a server that dies is not restarted.",
        next: odooPg("up"),
      }),
    ];
  }
  if (input.otherAgent !== undefined) {
    return [
      warning("agent_of_other_build", {
        message: `The agent runs another build of odoo-pg (version ${input.otherAgent}) than this command.`,
        next: odooPg("up"),
      }),
    ];
  }
  if (agent.keeping || agent.operation !== null) return [];
  return [
    warning("agent_waiting", {
      message: "The agent runs, but was not told to keep the servers running.",
      next: odooPg("up"),
    }),
  ];
}

function pool({ input, nodes, primary }: ClusterView, causes: readonly FoundWarning[]): FoundWarning[] {
  const { agent, config } = input;
  // Without the agent, or without a primary, another warning says where reads go.
  if (!primary || !agent?.keeping || agent.pool.length > 0 || config.nodes.length < 2) return [];
  const replicas = nodes.filter(({ name }) => name !== primary.name);
  // The reason that keeps each of them out is reported already.
  if (replicas.every(({ name }) => causes.some(({ node }) => node === name))) return [];
  if (input.agent?.overrides.some(({ file }) => file !== null)) return [];
  const reasons = replicas.flatMap(({ name, account }) =>
    account?.out_of_pool ? [`${name} ${oneLine(account.out_of_pool)}`] : [],
  );
  return [
    warning("pool_empty", {
      message: `No replica serves reads${reasons.length ? ` (${reasons.join("; ")})` : ""}: they go to ${primary.name}.`,
      next: agent.operation === null ? odooPg("logs", "agent") : odooPg("status", "--watch"),
    }),
  ];
}

function alarmChannels({ input: { agent } }: ClusterView): FoundWarning[] {
  const failing = agent?.failing_channels ?? [];
  if (!failing.length) return [];
  const each = failing.map(
    ({ name, since, error }) => `${name} (since ${new Date(since).toISOString().slice(0, 16)}Z: ${error})`,
  );
  return [
    warning("alarm_channel_failing", {
      message: `Alarms do not arrive by ${each.join("; ")}.`,
      next: odooPg("alarms", "test"),
    }),
  ];
}

/** One warning for each disk, however many nodes are on it. */
function disks({ nodes }: ClusterView): FoundWarning[] {
  const groups = new Map<string, { used: number; on: NodeView[] }>();
  for (const node of nodes) {
    if (!node.disk || !isFilling(node.disk)) continue;
    const used = fullness(node.disk);
    // The same size and the same use: nothing else that is known tells one disk from another.
    const key = `${node.disk.totalBytes} ${Math.round(used * 1000)}`;
    const group = groups.get(key) ?? { used, on: [] };
    group.on.push(node);
    groups.set(key, group);
  }
  const ofData = [...groups.values()].map(({ used, on }) => {
    const [first] = on;
    const free = first?.disk ? showBytes(first.disk.freeBytes) : "?";
    const kept = keptOn(on);
    return warning(used >= shareOf("disk_nearly_full") ? "disk_nearly_full" : "disk_filling", {
      ...(on.length === 1 && first ? { node: first.name } : {}),
      message: `The disk of ${on.map(({ name }) => name).join(", ")} is ${showShare(used)} full: ${free} left. Make room, or move the data to a larger disk.${sayKept(kept)}`,
      next: kept.length
        ? command("rm", "-r", ...kept.map(({ path }) => path))
        : command("df", "-h", first?.dataDir ?? "/"),
    });
  });
  return [...ofData, ...otherDisks(nodes)];
}

/** Disks of tablespaces, or of a WAL that lies elsewhere. */
function otherDisks(nodes: readonly NodeView[]): FoundWarning[] {
  return nodes.flatMap(({ name, disk }) =>
    (disk?.others ?? []).filter(isFilling).map((other) =>
      warning(fullness(other) >= shareOf("disk_nearly_full") ? "disk_nearly_full" : "disk_filling", {
        node: name,
        message: `The disk of ${other.path}, which ${name} writes to, is ${showShare(fullness(other))} full: ${showBytes(other.freeBytes)} left. Make room, or give it a larger disk.`,
        next: command("df", "-h", other.path),
      }),
    ),
  );
}

/** What was set aside on these nodes' disks, each item once. */
function keptOn(nodes: readonly NodeView[]): KeptAside[] {
  const all = nodes.flatMap(({ disk }) => disk?.keptAside ?? []);
  return [...new Map(all.map((kept) => [kept.path, kept])).values()];
}

function sayKept(kept: readonly KeptAside[]): string {
  if (!kept.length) return "";
  const each = kept.map(
    ({ path, bytes }) => `${path} (${bytes === undefined ? "size not known yet" : showBytes(bytes)})`,
  );
  return ` Old data is kept on it, and is yours to remove once you are sure that it is not needed: ${each.join(", ")}.`;
}

function settings({ input, nodes }: ClusterView): FoundWarning[] {
  const pending = nodes.filter(({ facts }) => facts?.pending_restart.length);
  const names = [...new Set(pending.flatMap(({ facts }) => facts?.pending_restart ?? []))].sort();
  return [
    ...(pending.length
      ? [
          warning("settings_pending_restart", {
            message: `${pending.map(({ name }) => name).join(", ")}: a restart is needed for ${names.join(", ")}.`,
            next: odooPg("up"),
          }),
        ]
      : []),
    ...(input.configChanged
      ? [
          warning("configuration_not_applied", {
            message: "The configuration was changed after it was last applied; what runs is shown here.",
            next: odooPg("up"),
          }),
        ]
      : []),
  ];
}
