import * as z from "zod";
import { absolutePath, docs, textWithout } from "../fields.ts";

/** Roles that odoo-pg makes for itself, or that the server has. */
const RESERVED_ROLES = ["postgres", "replicator", "collectd", "openerp"];
const RESERVED_DATABASES = ["template0", "template1", "postgres"];

function roleProblem(name: string): string | undefined {
  if (RESERVED_ROLES.includes(name)) return `"${name}" is a role with another purpose: choose another name`;
  if (name.startsWith("pg_")) return `"${name}": PostgreSQL keeps names that start with "pg_" for itself`;
  if (!/^[a-z_][a-z0-9_-]{0,62}$/.test(name)) {
    return `${JSON.stringify(name)} cannot be the name of the role: use lower-case letters, digits, "_" and "-", at most 63, starting with a letter`;
  }
  return undefined;
}

function templateProblem(name: string): string | undefined {
  if (RESERVED_DATABASES.includes(name)) return `"${name}" is PostgreSQL's own database: choose another name`;
  if (name.startsWith("pg_")) return `"${name}": PostgreSQL keeps names that start with "pg_" for itself`;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name)) {
    return `${JSON.stringify(name)} cannot be the name of the template: use lower-case letters, digits and "_", at most 63, starting with a letter`;
  }
  return undefined;
}

export const odoo = z
  .strictObject({
    role: textWithout(roleProblem)
      .default("odoo")
      .register(docs, {
        description: "Role that Odoo connects as (`db_user`): login and CREATEDB, never a superuser.",
        examples: ["odoo_prod"],
      }),
    template: textWithout(templateProblem)
      .default("odoo_template")
      .register(docs, { description: "Database that Odoo copies new databases from (`db_template`)." }),
    filestore: absolutePath()
      .optional()
      .register(docs, {
        description: "Directory of Odoo's filestores, with one directory per database.",
        examples: ["/var/lib/odoo/filestore"],
      }),
    addons_path: z
      .array(absolutePath())
      .default([])
      .register(docs, {
        description: "Directories of Odoo's modules, as in Odoo's own `addons_path`.",
        examples: [["/opt/odoo/addons", "/opt/odoo/custom"]],
      }),
  })
  .prefault({})
  .register(docs, { description: "What odoo-pg needs to know about Odoo." });
