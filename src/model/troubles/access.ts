import type { Trouble } from "./trouble.ts";

export const ACCESS = {
  hba_trust: {
    severity: "critical",
    meaning: "A line of pg_hba.conf lets clients in without a password (`trust`).",
    why: "Anyone who reaches the server is whoever they say, including the superuser (PostgreSQL manual, “Trust Authentication”).",
    remedy: "`odoo-pg up` writes pg_hba.conf again from `networks`, without that line.",
    foundBy: ["doctor"],
  },
  hba_weak_password: {
    severity: "warning",
    meaning: "A line of pg_hba.conf asks for a clear-text password, MD5 or ident.",
    why: "`password` is sent in clear text, md5 is broken, and ident trusts the other host (PostgreSQL manual, “Authentication Methods”).",
    remedy: "`odoo-pg up` writes pg_hba.conf again from `networks`, without that line.",
    foundBy: ["doctor"],
  },
  hba_without_tls: {
    severity: "warning",
    meaning: "A line of pg_hba.conf lets other hosts in without TLS.",
    why: "Data and password proofs can be read and changed in transit (PostgreSQL manual, “The pg_hba.conf File”).",
    remedy: "`odoo-pg up` writes pg_hba.conf again from `networks`, without that line.",
    foundBy: ["doctor"],
  },
  hba_superuser_remote: {
    severity: "warning",
    meaning: "A line of pg_hba.conf lets the superuser in from other hosts.",
    why: "Anyone who guesses one password can run programs on this host.",
    remedy: "`odoo-pg up` writes pg_hba.conf again from `networks`, without that line.",
    remark: "Not reported below a line that rejects the superuser from the same address.",
    foundBy: ["doctor"],
  },
  hba_error: {
    severity: "warning",
    meaning: "A line of pg_hba.conf cannot be read.",
    why: "A running server keeps its old rules, and a server that is started now does not come up (PostgreSQL manual, “The pg_hba.conf File”).",
    remedy: "`odoo-pg up` writes pg_hba.conf again from `networks`, without that line.",
    foundBy: ["doctor"],
  },
  tls_off: {
    severity: "warning",
    meaning: "A server listens to other hosts with TLS off.",
    why: "Every connection from there is in clear text.",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  tls_old_protocol: {
    severity: "warning",
    meaning: "A server takes TLS older than 1.2.",
    why: "TLS 1.0 and 1.1 are deprecated (RFC 8996).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  certificate_expiring: {
    severity: "warning",
    meaning: "A server's certificate, or the authority that signs them, expires within 30 days.",
    why: "Clients and replicas that verify it can then no longer connect.",
    remedy:
      "`odoo-pg up` renews certificates that odoo-pg made; replace your own (`tls` in the configuration).",
    remark:
      "Certificates that odoo-pg makes are valid for ten years; from 90 days before they expire, `odoo-pg up` renews them. Their authority lasts ten years too: the message says how to make a new one.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 3600, endsAfterSeconds: 60 },
  },
  certificate_expired: {
    severity: "critical",
    meaning: "A server's certificate, or the authority that signs them, has expired.",
    why: "Clients and replicas that verify it can no longer connect.",
    remedy:
      "`odoo-pg up` renews certificates that odoo-pg made; replace your own (`tls` in the configuration).",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
} as const satisfies Record<string, Trouble>;
