import * as z from "zod";

const named = { schema: z.string(), name: z.string() };
const ofTable = { ...named, table: z.string(), definition: z.string() };

/** Other objects that PostgreSQL keeps as a tree and prints as text. */
export const definitionKinds = [
  "default",
  "generated column",
  "view definition",
  "policy",
  "rule",
  "partition key",
  "partition bound",
  "statistics",
  "domain constraint",
  "function body",
] as const;

/** The objects that rights are on. `default` are those that new objects of a role get (ALTER DEFAULT PRIVILEGES). */
const rightKinds = [
  "table",
  "sequence",
  "column",
  "schema",
  "routine",
  "type",
  "large object",
  "default",
] as const;

const rightSchema = z.object({
  kind: z.enum(rightKinds),
  /** Empty where it has no schema. */
  schema: z.string(),
  /** Of a column; the role of a default. */
  table: z.string(),
  /** The kind of objects of a default, such as TABLES. */
  name: z.string(),
  /** Null: PUBLIC. */
  to: z.string().nullable(),
  /** Whether `to` owns it. */
  own: z.boolean(),
  /** Such as `INSERT,SELECT*`; `*` with grant option. Empty for none. */
  privileges: z.string(),
});
export type Right = z.output<typeof rightSchema>;

const roleSchema = z.object({
  name: z.string(),
  superuser: z.boolean(),
  inherit: z.boolean(),
  createrole: z.boolean(),
  createdb: z.boolean(),
  login: z.boolean(),
  replication: z.boolean(),
  bypassrls: z.boolean(),
  /** -1 means no limit. */
  connection_limit: z.number(),
  /** Roles that it is a direct member of. */
  member_of: z.string().array(),
});
export type Role = z.output<typeof roleSchema>;

/** The contents of a database, as far as a restore is compared with them. Names are unquoted; all lists are sorted. */
export const contentsSchema = z.object({
  version: z.literal(1),
  database: z.object({
    name: z.string(),
    owner: z.string(),
    /** Such as UTF8. */
    encoding: z.string(),
    /** libc, icu or builtin. */
    locale_provider: z.string(),
    collate: z.string().nullable(),
    ctype: z.string().nullable(),
    /** ICU locale, or the builtin one of PostgreSQL 17 and later. */
    locale: z.string().nullable(),
    connection_limit: z.number(),
    /** ALTER DATABASE … SET, as `name=value`. */
    settings: z.string().array(),
  }),
  schemas: z.object({ name: z.string(), owner: z.string() }).array(),
  tables: z
    .object({
      ...named,
      owner: z.string(),
      /** Null for what has no rows of its own: a partitioned or foreign table. */
      rows: z.number().int().nullable(),
    })
    .array(),
  views: z.object({ ...named, owner: z.string(), materialized: z.boolean() }).array(),
  indexes: z.object(ofTable).array(),
  constraints: z.object(ofTable).array(),
  triggers: z.object(ofTable).array(),
  /** Of what is in no other list with its text. Backups of odoo-pg 0.1.0 have none. `table` is what it belongs to. */
  definitions: z
    .object({ kind: z.enum(definitionKinds), ...ofTable })
    .array()
    .optional(),
  functions: z.object({ schema: z.string(), signature: z.string(), owner: z.string() }).array(),
  sequences: z
    .object({
      ...named,
      owner: z.string(),
      /** As text: a bigint. Null before the first use. A dump may hold a later value: sequences know no snapshot. */
      last_value: z.string().nullable(),
    })
    .array(),
  /**
   * All rights on objects on which any right was granted or revoked; not on members of an extension. Backups of odoo-pg
   * 0.1.0 lack this list and the next.
   */
  rights: rightSchema.array().optional(),
  /**
   * Objects that are in no list with an owner and do not belong to the database's owner, as pg_identify_object names
   * them.
   */
  owned_otherwise: z.object({ type: z.string(), identity: z.string(), owner: z.string() }).array().optional(),
  extensions: z
    .object({ name: z.string(), version: z.string(), schema: z.string(), owner: z.string() })
    .array(),
  /**
   * unaccent(text), where it is there: pg_dump does not say that Odoo made it IMMUTABLE, and without that an index on it
   * cannot be restored.
   */
  unaccent: z.object({ schema: z.string(), owner: z.string(), immutable: z.boolean() }).nullable(),
  large_objects: z.number().int(),
  /** Rows of ir_attachment that have a file; null when the database is not Odoo's. */
  attachments: z.number().int().nullable(),
  /** The roles that own or may do something here, and those that they are members of. */
  roles: roleSchema.array(),
  /** Null when the database is not Odoo's. */
  odoo: z
    .object({
      /** Version of module base, such as `19.0.1.3`. */
      version: z.string(),
      /** latest_version of the installed modules, by name. */
      modules: z.record(z.string(), z.string()),
    })
    .nullable(),
});
export type Contents = z.output<typeof contentsSchema>;

/** How many things are compared with each other. */
export function objectsIn(contents: Contents): number {
  const { schemas, tables, views, indexes, constraints, triggers, definitions = [] } = contents;
  const { functions, sequences, extensions } = contents;
  return [
    schemas,
    tables,
    views,
    indexes,
    constraints,
    triggers,
    definitions,
    functions,
    sequences,
    extensions,
  ].reduce((sum, list) => sum + list.length, 0);
}
