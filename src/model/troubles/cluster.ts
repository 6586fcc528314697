import type { Trouble } from "./trouble.ts";

export const CLUSTER = {
  cluster_not_running: {
    severity: "critical",
    meaning: "Nothing in the cluster answers: no server, no endpoint, and no agent that is working on it.",
    remedy:
      "`odoo-pg up`. If it says “was never started here” but it was: check the configuration and the user.",
    foundBy: ["status"],
  },
  cluster_stopped: {
    severity: "warning",
    meaning: "The cluster was stopped with `odoo-pg down`: nothing of it answers, and nothing is wrong.",
    remedy: "`odoo-pg up` starts it again.",
    foundBy: ["status"],
  },
  cluster_critical: {
    severity: "critical",
    meaning: "`odoo-pg status` says CRITICAL.",
    remedy: "`odoo-pg status` says what is wrong and what to do.",
    foundBy: [],
    prometheus: {
      expr: 'odoo_pg_status{verdict="critical"} == 1',
      for: "1m",
      summary: "{{ $labels.cluster }}: the verdict is critical.",
      description: "Which warnings: odoo_pg_warnings > 0. What to do: odoo-pg status",
    },
  },
  primary_down: {
    severity: "critical",
    meaning: "The primary does not answer, so nothing can be written.",
    remedy:
      "Wait a few seconds: the agent restarts it. If it does not start, its log says why. If it cannot come back: [promote](operations.md#promote).",
    foundBy: ["status"],
    alarm: { afterSeconds: 15, endsAfterSeconds: 15 },
    prometheus: {
      expr: "odoo_pg_write_endpoint_up == 0",
      for: "30s",
      summary:
        "{{ $labels.cluster }}: nothing can be written, because the write endpoint leads to no primary.",
      description: "What to do: odoo-pg status",
    },
  },
  writes_wait: {
    severity: "critical",
    meaning:
      "With `read-your-writes`, commits are waiting for a replica that does not answer. The agent releases them within `max_commit_wait_seconds`, once the replica's sessions are cut. While the agent is down they keep waiting, so that no read is stale.",
    remedy:
      "Wait for `max_commit_wait_seconds`. If commits still wait then, the agent is down or hangs: `odoo-pg up`.",
    foundBy: ["status"],
    alarm: { afterSeconds: 10, endsAfterSeconds: 30 },
  },
  wrong_primary: {
    severity: "critical",
    meaning: "A node accepts writes but should not, or holds another cluster's data.",
    remedy:
      "Find out which node has the data you want before you stop one. Then [rejoin](operations.md#rejoin) the other.",
    foundBy: [],
    alarm: { afterSeconds: 15, endsAfterSeconds: 30 },
  },
  two_primaries: {
    severity: "critical",
    meaning: "Two nodes accept writes, so their data diverges. Only one of them is behind the endpoints.",
    remedy:
      "Someone promoted a node by hand. Find out which one has the data you want before you stop one. Then [rejoin](operations.md#rejoin) the other.",
    foundBy: ["status"],
    alarm: "wrong_primary",
  },
  unexpected_primary: {
    severity: "critical",
    meaning: "A node recorded as a replica answers as a primary, so the write endpoint does not lead to it.",
    remedy:
      "Someone promoted a node by hand. Find out which one has the data you want before you stop one. Then [rejoin](operations.md#rejoin) the other.",
    foundBy: ["status"],
    alarm: "wrong_primary",
  },
  other_system_identifier: {
    severity: "critical",
    meaning: "A server of the cluster holds the data of another cluster.",
    remedy: "A server of another cluster answers on a node's port or socket. Stop it.",
    foundBy: ["status"],
    alarm: "wrong_primary",
  },
  node_down: {
    severity: "warning",
    meaning: "A node does not answer, does not start, or waits for a decision.",
    remedy: "`odoo-pg status` says why.",
    foundBy: [],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
    prometheus: {
      expr: "pg_up == 0",
      for: "1m",
      summary: "{{ $labels.cluster }}: the server at {{ $labels.instance }} does not answer.",
      description: "What to do: odoo-pg status",
    },
  },
  start_failing: {
    severity: "warning",
    meaning: "A server does not start. The agent tries again, at most 30 s apart.",
    remedy: "The message quotes the server: correct what it complains of. The agent keeps trying.",
    foundBy: ["status"],
    alarm: "node_down",
  },
  node_refused: {
    severity: "warning",
    meaning:
      "A node is not started because its data directory is not what it should be. The directory was left as it is.",
    remedy: "The data directory is another cluster's, another major version's, or gone. Is its disk mounted?",
    foundBy: ["status"],
    alarm: "node_down",
  },
  needs_rejoin: {
    severity: "warning",
    meaning: "An old primary is held back: started as it is, it would be a second primary.",
    remedy: "[Rejoin](operations.md#rejoin)",
    foundBy: ["status"],
    alarm: "node_down",
  },
  tablespace_shared: {
    severity: "critical",
    meaning:
      "A replica has no directory of its own for a tablespace, for example because the tablespace was created while it was streaming: it would write its primary's files. It is not started until it is rebuilt, which gives it one.",
    remedy: "[Tablespaces](operations.md#tablespaces): `odoo-pg reseed NODE`",
    foundBy: ["status"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  switchover: {
    severity: "warning",
    meaning: "Another node became the primary.",
    remedy: "Nothing, if you ordered it. `odoo-pg history` says who did.",
    foundBy: [],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0, isEvent: true },
  },
} as const satisfies Record<string, Trouble>;
