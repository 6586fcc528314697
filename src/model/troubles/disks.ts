import type { Trouble } from "./trouble.ts";

export const DISKS = {
  disk_nearly_full: {
    severity: "critical",
    meaning: "A disk is 95 % full or more.",
    why: "PostgreSQL stops when it has no room for its WAL, and backups fail.",
    remedy: "[A full disk](operations.md#a-full-disk)",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 30, endsAfterSeconds: 60 },
    threshold: { value: 95, margin: 2, unit: "%" },
    prometheus: {
      expr: "odoo_pg_node_disk_free_bytes / odoo_pg_node_disk_size_bytes <= 0.05",
      for: "1m",
      summary: "{{ $labels.cluster }}: the disk of {{ $labels.node }} is nearly full.",
      description: "Without room for WAL PostgreSQL stops. What uses it: odoo-pg doctor",
    },
  },
  disk_filling: {
    severity: "warning",
    meaning: "A disk is 85 % full or more.",
    why: "A restore, a reseed and a reindex need room for a second copy.",
    remedy: "[A full disk](operations.md#a-full-disk)",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 300, endsAfterSeconds: 300 },
    threshold: { value: 85, margin: 3, unit: "%" },
    prometheus: {
      expr: "odoo_pg_node_disk_free_bytes / odoo_pg_node_disk_size_bytes <= 0.15",
      for: "10m",
      summary: "{{ $labels.cluster }}: the disk of {{ $labels.node }} is filling up.",
      description: "What uses the space: odoo-pg doctor",
    },
  },
  disk_full_tomorrow: {
    severity: "warning",
    meaning: "At the growth of the last six hours, a disk will be full within a day.",
    remedy: "[A full disk](operations.md#a-full-disk)",
    foundBy: [],
    prometheus: {
      expr: "predict_linear(odoo_pg_node_disk_free_bytes[6h], 24 * 3600) < 0 and odoo_pg_node_disk_free_bytes / odoo_pg_node_disk_size_bytes < 0.3",
      for: "10m",
      summary: "{{ $labels.cluster }}: the disk of {{ $labels.node }} will be full within a day.",
      description: "What uses the space: odoo-pg doctor",
    },
  },
  disk_days_left: {
    severity: "warning",
    meaning: "At its present growth, a disk will be full in less than 14 days.",
    why: "A larger disk takes days to order and install.",
    remedy: "Make room, or move to a larger disk.",
    remark:
      "Estimated from the agent's samples of the last 24 hours, by the median of all slopes: a backup that comes and goes hardly counts.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
