import { sayOf } from "../model/silence.ts";
import { backupsOf, notBackedUp } from "./backups/backups.ts";
import { copiesOf } from "./backups/copies.ts";
import { knownWindow } from "./backups/archive.ts";
import { provenSecondOf } from "./backups/second-drill.ts";
import { findWarnings } from "./diagnosis/diagnosis.ts";
import type { NodeStatus, StatusDocument } from "./documents/status.ts";
import { viewOf, type ClusterView, type NodeView, type StatusInput } from "./view.ts";
import { verdictOf, warningInDocument } from "../model/warnings.ts";

/** Brings what was seen into one document with a verdict. Pure: the same observations always give the same status. */
export function statusOf(input: StatusInput): StatusDocument {
  const view = viewOf(input);
  const warnings = findWarnings(view);
  const { config, agent, endpoints } = input;
  const { read, write } = config.endpoints;
  const { facts } = view.primary?.facts ? view.primary : (view.nodes.find((node) => node.facts) ?? {});
  return {
    version: 1,
    cluster: config.cluster,
    at: new Date(input.now).toISOString(),
    verdict: verdictOf(warnings),
    // Debian's servers say `15.18 (Debian 15.18-0+deb12u1)`.
    postgres_version: facts?.version.split(" ")[0] ?? null,
    timeline: view.primary?.identity?.timeline ?? null,
    database_bytes: input.databaseBytes ?? null,
    nodes: view.nodes.map(nodeStatusOf),
    endpoints: {
      read: {
        host: endpoints.host,
        port: read.port,
        answers: endpoints.readAnswers ?? null,
        waiting: agent?.waiting_clients?.read ?? null,
        pooler: agent?.poolers?.read ?? null,
        consistency: read.consistency,
        pool: [...(agent?.pool ?? [])].sort(),
      },
      write: {
        host: endpoints.host,
        port: write.port,
        answers: endpoints.writeAnswers ?? null,
        waiting: agent?.waiting_clients?.write ?? null,
        pooler: agent?.poolers?.write ?? null,
        node: writesTo(view),
      },
    },
    agent: {
      running: agent !== undefined,
      pid: agent?.pid ?? null,
      operation: agent?.operation ?? null,
    },
    console: agent?.console ? { url: agent.console.url, answers: agent.console.problem === null } : null,
    backups: backupsOf(input.backups?.record, input.now),
    not_backed_up: notBackedUp(config.backup, input.backups?.record, input.databases),
    window: knownWindow({
      primary: view.primary,
      ...input.archive,
      enabled: config.backup.any_second.enabled,
    }),
    second_proven: provenSecondOf(config.backup.any_second, input.secondDrill),
    copies: copiesOf(config.backup.offsite, input.copies),
    attachments_kept_at: agent?.attachments?.whole_at ?? null,
    warnings: warnings.map((found) => warningInDocument(found, input.configFile)),
  };
}

/** The write endpoint leads to the recorded primary, whichever other node may answer as one. */
function writesTo({ primary, expectedPrimary }: ClusterView): string | null {
  return primary?.name === expectedPrimary ? expectedPrimary : null;
}

function nodeStatusOf(view: NodeView): NodeStatus {
  const { node, disk } = view;
  return {
    name: view.name,
    role: view.role,
    state: view.state,
    host: node.host,
    port: node.port,
    timeline: view.identity?.timeline ?? null,
    lag_bytes: view.lag.bytes ?? null,
    lag_seconds: view.lag.seconds === undefined ? null : round(view.lag.seconds, 1000),
    slot: view.slot ?? null,
    disk_used_ratio: disk && disk.totalBytes > 0 ? round(1 - disk.freeBytes / disk.totalBytes, 10_000) : null,
    in_pool: view.pooled,
    reason: reasonOf(view),
    last_seen: view.lastSeen === undefined ? null : new Date(view.lastSeen).toISOString(),
  };
}

function round(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}

function reasonOf({ account, silence, role, pooled }: NodeView): string | null {
  if (silence !== undefined) return account?.waiting?.reason ?? account?.failure ?? sayOf(silence);
  return role === "replica" && !pooled ? (account?.out_of_pool ?? null) : null;
}
