import type { Trouble } from "./trouble.ts";

export const ROLES = {
  rights_not_kept: {
    severity: "warning",
    meaning: "The agent cannot close new databases to other roles, or let new roles through the endpoints.",
    remedy: "`odoo-pg logs agent` says why.",
    foundBy: ["status"],
  },
  superuser_by_password: {
    severity: "warning",
    meaning:
      "On its own host a server lets the superuser in only by password, not by operating-system user: its `pg_hba.conf` was written by an older odoo-pg, or was changed.",
    remedy: "`odoo-pg up` rewrites `pg_hba.conf`.",
    foundBy: ["status"],
  },
  odoo_role_superuser: {
    severity: "critical",
    meaning: "Odoo's role, or the owner of an Odoo database, is a superuser.",
    why: "A superuser runs programs on the server by `COPY … FROM PROGRAM`: a hole in Odoo becomes a hole in the host. Odoo itself refuses `postgres` (Odoo 19, `odoo/cli/server.py`; docker-library/postgres#175).",
    remedy: "Revoke the right with the command that doctor prints, or give Odoo a role of its own.",
    remark: "`odoo-pg up` also revokes this right from `odoo.role`.",
    foundBy: ["doctor"],
  },
  more_superusers: {
    severity: "advice",
    meaning: "Besides `postgres`, another role that may log in is a superuser.",
    why: "It may do everything that `postgres` may, including running programs on the host (PostgreSQL manual, “Role Attributes”).",
    remedy: "Revoke the right with the command that doctor prints.",
    remark: "If someone needs it, make it a role without login, used with SET ROLE.",
    foundBy: ["doctor"],
  },
  odoo_role_cut_off: {
    severity: "warning",
    meaning: "Odoo's role may not connect to the database `postgres`.",
    why: "Odoo listens there for `cron_trigger` and `imbus`: without it scheduled actions start late and chat is not live (Odoo 19, `odoo/service/server.py`, `addons/bus/models/bus.py`).",
    remedy: "Grant CONNECT with the command that doctor prints.",
    foundBy: ["doctor"],
  },
  password_md5: {
    severity: "warning",
    meaning: "A role's password is stored as an MD5 hash.",
    why: "Such a hash is as good as the password for logging in, MD5 is broken, and PostgreSQL 18 warns that support for it will be removed (PostgreSQL manual, “Password Authentication”).",
    remedy: "Set the password again: `\\password ROLE` in `odoo-pg psql`.",
    remark: "Clients that cannot do SCRAM are older than libpq 10 (2017).",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
