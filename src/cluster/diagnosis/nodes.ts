import type { WaitingState } from "../../model/node-state.ts";
import type { WarningCode } from "../../model/troubles/troubles.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { command, nextStep, odooPg } from "../../next-step.ts";
import { shellWord } from "../../shell-word.ts";
import type { ClusterView, NodeView } from "../view.ts";
import { ofReplica } from "./replicas.ts";
import { afterSilence, sayWhy } from "./words.ts";

export function notRunning({ input, nodes }: ClusterView): FoundWarning {
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

export function primaries(view: ClusterView): FoundWarning[] {
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
export function waitingWrites({ primary, nodes, input }: ClusterView): FoundWarning[] {
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

export function ofNode(node: NodeView, view: ClusterView): FoundWarning[] {
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
export function held({ name, account, dataDir }: NodeView): FoundWarning[] {
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
