import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";
import {
  unseen,
  observedValues,
  type CatalogSeen,
  type DatabaseListed,
  type DatabaseSeen,
  type Observed,
  type RoleSeen,
  type TemplateSeen,
} from "../evidence.ts";
import { BARRED_ROLE, PASSING_ROLE } from "../../../postgres/sql/access/passing.ts";
import { sessionState } from "../../../postgres/sql/observing/session-state.ts";
import { gatherDatabase } from "./database.ts";
import { attempt } from "./attempt.ts";

export interface CatalogSource {
  readonly node: string;
  /** Whether that node is a replica. */
  readonly replica: boolean;
  readonly template: string;
  /** Whether clients of an endpoint share sessions. */
  readonly pools: boolean;
  /** A connection to any database. */
  readonly use: <T>(database: string, act: (session: Session) => Promise<T>) => Promise<T>;
  readonly session: Session;
  /** Whether the time is up: databases that were not examined by then are reported as such. */
  readonly late: () => boolean;
}

/** Databases that are examined at the same time. */
const TOGETHER = 4;

/** Roles, databases and their contents. Each database is examined by a session of its own, which ends at once. */
export async function gatherCatalog(source: CatalogSource): Promise<CatalogSeen> {
  const { session, template } = source;
  const roles = await attempt(() => readRoles(session));
  const databases = await attempt(() => readDatabases(session));
  const list = observedValues(databases).flat();
  const each = new Map<string, Observed<DatabaseSeen>>();
  const waiting = list.filter(
    ({ name, is_template }) => !is_template && name !== "postgres" && name !== template,
  );
  for (const { name } of waiting) each.set(name, unseen("there was no time left"));
  const worker = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const { name, open } = next;
      if (source.late()) return;
      each.set(
        name,
        open
          ? await attempt(() => source.use(name, (inside) => gatherDatabase(inside, source.replica)))
          : unseen("it takes no connections, like one that was replaced and kept"),
      );
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, worker));
  return {
    node: source.node,
    target: source.replica ? "write" : source.node,
    roles,
    databases,
    template: await attempt(() => gatherTemplate(source, list)),
    each,
    sessionState: source.pools ? await attempt(() => sessionState(session)) : undefined,
  };
}

const roleRow = z.object({
  name: z.string(),
  superuser: z.boolean(),
  login: z.boolean(),
  createdb: z.boolean(),
  reaches_postgres: z.boolean(),
  password: z.enum(["scram", "md5", "none", "other"]),
});

async function readRoles(session: Session): Promise<RoleSeen[]> {
  // Of a password only its kind leaves the server.
  const rows = await session.query(
    `SELECT r.rolname AS name, r.rolsuper AS superuser, r.rolcanlogin AS login,
       r.rolcreatedb AS createdb,
       has_database_privilege(r.oid, 'postgres', 'CONNECT') AS reaches_postgres,
       CASE WHEN a.rolpassword IS NULL THEN 'none' WHEN a.rolpassword LIKE 'md5%' THEN 'md5'
         WHEN a.rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram' ELSE 'other' END AS password
     FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid WHERE r.rolname !~ '^pg_' AND r.rolname <> ALL ($1::text[]) ORDER BY r.rolname`,
    [[PASSING_ROLE, BARRED_ROLE]],
  );
  return roleRow.array().parse(rows);
}

const databaseRow = z.object({
  name: z.string(),
  owner: z.string(),
  encoding: z.string(),
  collation: z.string(),
  is_template: z.boolean(),
  open: z.boolean(),
  open_to_all: z.boolean(),
  others: z.string().array(),
  collation_version: z.string().nullable(),
  library_version: z.string().nullable(),
  xid_age: z.number(),
  mxid_age: z.number(),
  checksum_failures: z.number(),
});

/** The first version that records which version of the library a database was sorted by. */
const KNOWS_COLLATION_VERSION = 150_000;

/** Lasting databases: not those that odoo-pg restores into, nor those whose DROP was interrupted. */
async function readDatabases(session: Session): Promise<DatabaseListed[]> {
  const [server] = await session.query("SELECT current_setting('server_version_num')::int AS version");
  const versions =
    Number(server?.["version"]) >= KNOWS_COLLATION_VERSION
      ? "d.datcollversion AS collation_version, pg_database_collation_actual_version(d.oid) AS library_version"
      : "NULL AS collation_version, NULL AS library_version";
  const rows = await session.query(
    `SELECT d.datname AS name, pg_get_userbyid(d.datdba) AS owner, pg_encoding_to_char(d.encoding) AS encoding,
       CASE WHEN to_jsonb(d) ->> 'datlocprovider' = 'i' THEN 'icu' ELSE d.datcollate END AS collation,
       d.datistemplate AS is_template, d.datallowconn AS open, ${versions},
       EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) WHERE grantee = 0) AS open_to_all,
       ARRAY(SELECT DISTINCT r.rolname::text FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
         WHERE s.dbid = d.oid AND s.refclassid = 'pg_authid'::regclass AND s.deptype = 'o' AND s.refobjid <> d.datdba
           AND NOT r.rolsuper ORDER BY 1) AS others,
       age(d.datfrozenxid) AS xid_age, mxid_age(d.datminmxid) AS mxid_age,
       coalesce((SELECT checksum_failures FROM pg_stat_database s WHERE s.datid = d.oid), 0)::float8 AS checksum_failures
     FROM pg_database d WHERE d.datname !~ '^odoo_pg_' AND d.datconnlimit <> -2 ORDER BY d.datname`,
  );
  return databaseRow.array().parse(rows);
}

const templateRow = z.object({ extensions: z.string().array(), unaccent_volatility: z.string().nullable() });

async function gatherTemplate(source: CatalogSource, list: readonly DatabaseListed[]): Promise<TemplateSeen> {
  const listed = list.find(({ name }) => name === source.template);
  if (!listed) return { exists: false, is_template: false, extensions: [], unaccent_volatility: null };
  // A session in the template keeps it from being copied: one statement, and out again.
  const [row] = await source.use(source.template, (inside) =>
    inside.query(
      `SELECT ARRAY(SELECT extname::text FROM pg_extension ORDER BY 1) AS extensions,
         (SELECT provolatile::text FROM pg_proc WHERE oid = to_regprocedure('public.unaccent(text)')) AS unaccent_volatility`,
    ),
  );
  return { exists: true, is_template: listed.is_template, ...templateRow.parse(row) };
}
