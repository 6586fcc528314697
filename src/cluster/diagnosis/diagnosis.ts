import { nextStep, odooPg } from "../../next-step.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { archiveWarnings, attachmentWarnings } from "../backups/archive.ts";
import { backupWarnings } from "../backups/backups.ts";
import { copyWarnings } from "../backups/copies.ts";
import { rotationWarnings } from "../backups/rotation.ts";
import { secondDrillWarnings } from "../backups/second-drill.ts";
import { certificateWarnings } from "../certificates.ts";
import { commitWarnings } from "../commit-rules.ts";
import { connectionsTold } from "../connections.ts";
import type { ClusterView } from "../view.ts";
import { disks } from "./disks.ts";
import { endpoints } from "./endpoints.ts";
import { held, notRunning, ofNode, primaries, waitingWrites } from "./nodes.ts";
import { oneLine } from "./words.ts";

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
