import type { Trouble } from "./trouble.ts";

export const ODOO_DATABASES = {
  template_unfit: {
    severity: "warning",
    meaning: "The template from which Odoo creates databases is missing, or lacks what Odoo needs.",
    why: "New databases then lack pg_trgm or an IMMUTABLE unaccent, and searches stay slow (tried with Odoo 19.0).",
    remedy: "`odoo-pg up`",
    foundBy: ["doctor"],
  },
  database_owner_wrong: {
    severity: "warning",
    meaning: "An Odoo database belongs to a role that is not Odoo's.",
    why: "Odoo lists only databases that its role owns: others are hidden, and their scheduled actions do not run (Odoo 19, `odoo/service/db.py`, `list_dbs`).",
    remedy: "Give it to Odoo's role with the command that doctor prints.",
    remark: "`odoo.role` and roles created by `odoo-pg role create` are right owners.",
    foundBy: ["doctor"],
  },
  template_owner_wrong: {
    severity: "critical",
    meaning: "The template from which Odoo creates databases does not belong to the superuser.",
    why: "What its owner puts there is in every new database, including other tenants', and runs with their rights (PostgreSQL manual, “Template Databases”).",
    remedy: "`odoo-pg up`",
    foundBy: ["doctor"],
  },
  database_open: {
    severity: "warning",
    meaning: "Every role may connect to a database, not only its owner.",
    why: "PostgreSQL grants that on each new database, and Odoo lets everyone create objects in its schema `public`: another role's function there runs with the owner's rights. The agent revokes it within a second of a database's creation; without the agent it stays.",
    remedy: "`odoo-pg up`",
    foundBy: ["doctor"],
  },
  others_in_database: {
    severity: "warning",
    meaning: "A role that is neither the database's owner nor a superuser owns something in it.",
    why: "Its functions, operators and triggers may run in the sessions of the database's owner (CVE-2018-1058; PostgreSQL manual, “Schemas”, Usage Patterns).",
    remedy: "See what it is with the query that doctor prints.",
    foundBy: ["doctor"],
  },
  objects_owner_wrong: {
    severity: "warning",
    meaning: "Tables of an Odoo database belong to a role whose rights the database's owner does not have.",
    why: "Odoo alters its tables when modules are updated: PostgreSQL answers “must be owner of table”. It is the result of a restore as another role (odoo/odoo#31115).",
    remedy: "Give them to the database's owner with the command that doctor prints.",
    remark:
      "The command gives the database's owner every table and view of schema public that belongs to that role; sequences go with their tables.",
    foundBy: ["doctor"],
  },
  database_collation: {
    severity: "advice",
    meaning: "An Odoo database has another collation than C, or another encoding than UTF8.",
    why: "Odoo creates its databases with C (Odoo 19, `odoo/service/db.py`). Other collations come from the C library, and indexes become wrong when a system update changes them (PostgreSQL wiki, “Locale data changes”).",
    remedy: "Restore a zip of it (`odoo-pg backup export --odoo-zip`) under a new name.",
    remark: "C, POSIX and C.UTF-8 are fine. odoo-pg creates the new database as Odoo would.",
    foundBy: ["doctor"],
  },
  collation_version_changed: {
    severity: "warning",
    meaning: "A database's indexes were built with another version of the library that sorts for it.",
    why: "Indexes on text may be wrong: rows are not found, unique values occur twice (PostgreSQL manual, ALTER DATABASE, “REFRESH COLLATION VERSION”).",
    remedy: "Reindex at a quiet hour, with the commands that doctor prints.",
    foundBy: ["doctor"],
  },
  extension_missing: {
    severity: "warning",
    meaning: "An Odoo database lacks pg_trgm, or unaccent where Odoo uses it.",
    why: "Without pg_trgm Odoo omits its trigram indexes, and searches for part of a name read whole tables (Odoo 19, `odoo/orm/registry.py`).",
    remedy: "Create it with the command that doctor prints.",
    remark:
      "unaccent is expected unless the odoo.conf that you named has `unaccent` off. After the command, let Odoo update the module base once: it then creates its indexes.",
    foundBy: ["doctor"],
  },
  unaccent_not_immutable: {
    severity: "warning",
    meaning: "The function unaccent(text) of an Odoo database is not IMMUTABLE.",
    why: "PostgreSQL allows only IMMUTABLE functions in an index: every search that ignores accents reads the whole table (PostgreSQL manual, CREATE INDEX; Odoo 19, `odoo/modules/db.py`).",
    remedy: "Mark it IMMUTABLE with the command that doctor prints.",
    foundBy: ["doctor"],
  },
  unaccent_index_missing: {
    severity: "advice",
    meaning: "An Odoo database with unaccent lacks the trigram index on the unaccented names of a table.",
    why: "A search box uses it. A restore by psql without ON_ERROR_STOP loses it silently (Odoo 19, `odoo/service/db.py`; tried).",
    remedy: "Create it with the command that doctor prints.",
    remark:
      "Looked for: product_template, product_category, sale_order. An index of Odoo's name without unaccent is replaced by the command.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
