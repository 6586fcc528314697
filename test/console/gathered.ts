import { statusOf } from "../../src/cluster/status.ts";
import { NO_ACTIVITY } from "../../src/console/gather/activity-reader.ts";
import type { GatheredDocument } from "../../src/console/source.ts";
import { cluster } from "../support/observations.ts";

/** What is gathered of a cluster in which all is well and nothing happens. */
export function gathered(at: string): GatheredDocument {
  const status = statusOf(cluster());
  return {
    version: 1,
    at,
    cluster: "prod",
    config_file: null,
    called: "odoo-pg",
    verdict: {
      level: "ok",
      sentence: "All is well.",
      head: "All is well",
      warning: null,
      next: null,
      next_step: null,
      action: null,
      actions: [],
    },
    recovery: {
      sentence: "Yes.",
      last_backup_at: null,
      last_proven_at: null,
      oldest_at: null,
      size_bytes: null,
      backups: [],
    },
    status,
    disks: [],
    databases: [],
    activity: NO_ACTIVITY,
    events: [],
  };
}
