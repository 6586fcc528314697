import type { Trouble } from "./trouble.ts";

export const ENDPOINTS_AND_AGENT = {
  haproxy_down: {
    severity: "critical",
    meaning: "HAProxy is not running: neither endpoint takes connections. The servers keep running.",
    remedy:
      "The agent restarts HAProxy when it is gone, and kills it after 10 s without an answer. If it stays down: `odoo-pg logs agent` says why.",
    foundBy: ["status"],
    alarm: "endpoint_down",
  },
  endpoint_down: {
    severity: "critical",
    meaning: "An endpoint takes no connections.",
    remedy:
      "The agent restarts HAProxy when it is gone, and kills it after 10 s without an answer. If it stays down: `odoo-pg logs agent` says why.",
    foundBy: ["status"],
    alarm: { afterSeconds: 30, endsAfterSeconds: 30 },
  },
  clients_waiting: {
    severity: "warning",
    meaning:
      "Clients have been waiting for 5 s or more at an endpoint, because no server takes them: all connections are in use, or the server is down or recovering. They are refused after `endpoints.wait_seconds`.",
    remedy: "The server is full or down: [clients that wait](operations.md#clients-that-wait).",
    foundBy: ["status"],
    alarm: { afterSeconds: 15, endsAfterSeconds: 60 },
  },
  pool_empty: {
    severity: "warning",
    meaning: "No replica serves reads, although the cluster has one: all reads go to the primary.",
    remedy: "Reads go to the primary: correct but slower. The message gives the reason for each replica.",
    foundBy: ["status"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
    prometheus: {
      expr: "odoo_pg_pool_size == 0 and on (cluster) count by (cluster) (odoo_pg_node_primary == 0) > 0",
      for: "5m",
      summary: "{{ $labels.cluster }}: no replica serves reads; they all go to the primary.",
      description: "Why: odoo-pg status",
    },
  },
  agent_not_running: {
    severity: "warning",
    meaning:
      "The agent does not answer. Servers and endpoints keep running, but reads go to the primary and nothing that dies is restarted.",
    remedy: "`odoo-pg up`. Until then reads go to the primary and nothing is restarted.",
    foundBy: ["status"],
  },
  agent_unreachable: {
    severity: "critical",
    meaning: "Prometheus gets no answer from the agent: it is not running, or its host is down.",
    remedy: "On that host: `odoo-pg status`.",
    foundBy: [],
    prometheus: {
      expr: 'up{job="odoo-pg"} == 0',
      for: "2m",
      summary: "{{ $labels.instance }}: the agent of odoo-pg does not answer.",
      description:
        "Servers and endpoints keep running, but nothing that dies is restarted. On that host: odoo-pg status",
    },
  },
  agent_of_other_build: {
    severity: "warning",
    meaning:
      "The agent is another build than the command, for example after an update. It carries on until `odoo-pg up` replaces it, which does not disturb servers or sessions.",
    remedy: "`odoo-pg up` replaces it with this program's agent. Servers and their sessions keep running.",
    foundBy: ["status"],
  },
  agent_waiting: {
    severity: "warning",
    meaning: "The agent runs but manages nothing: it waits for `odoo-pg up`.",
    remedy: "`odoo-pg up`. Until then reads go to the primary and nothing is restarted.",
    foundBy: ["status"],
  },
  agent_away: {
    severity: "warning",
    meaning:
      "No agent was running for this long: it had died, or the machine was asleep. Reported when it is back; `down` and a stop by the system do not count.",
    remedy: "`odoo-pg logs agent`",
    foundBy: [],
    alarm: { afterSeconds: 0, endsAfterSeconds: 0, isEvent: true },
    threshold: { value: 180, margin: 0, unit: "s" },
  },
  record_damaged: {
    severity: "warning",
    meaning: "One of odoo-pg's own records is damaged and is ignored; the message names the file.",
    remedy:
      "`odoo-pg backup create --all` writes the record of the backups again. The backups themselves are not affected.",
    foundBy: ["status"],
  },
  alarm_channel_failing: {
    severity: "warning",
    meaning:
      "Alarms do not get through one of the channels in `alarms`. They are kept for up to a day; the other channels work, and report it.",
    remedy: "`odoo-pg alarms test` says why, by channel: [Alarms](operations.md#alarms)",
    foundBy: ["status"],
    alarm: { afterSeconds: 300, endsAfterSeconds: 60, formerly: "channel_failing" },
  },
  console_not_served: {
    severity: "warning",
    meaning:
      "The console cannot be served at one of its addresses, usually because the port is taken. The cluster runs without it; the agent tries again every 10 s.",
    remedy: "Free the port, or set another `console.port` and run `odoo-pg up`.",
    foundBy: ["status"],
  },
  settings_pending_restart: {
    severity: "warning",
    meaning:
      "Servers run with older settings than their files hold: the new ones take effect only at a restart.",
    remedy: "`odoo-pg up` restarts what needs it.",
    foundBy: ["status"],
  },
  configuration_not_applied: {
    severity: "warning",
    meaning:
      "The configuration file was changed after the last `odoo-pg up`. `status` shows what is running.",
    remedy: "`odoo-pg up`, or put the file back.",
    foundBy: ["status"],
  },
} as const satisfies Record<string, Trouble>;
