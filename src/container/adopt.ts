import { OdooPgError } from "../errors.ts";
import { SUPERUSER } from "../postgres/initialise.ts";
import { programOf, type Installation } from "../postgres/installation.ts";
import { scramVerifier } from "../postgres/sql/access/scram.ts";
import { disarmStaleLocks } from "../postgres/server.ts";
import type { NodeLayout } from "../config/layout.ts";
import { runOrFail } from "../system/process/process.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { quoteSqlLiteral, quoteSqlIdentifier } from "../system/sql/sql.ts";

/** A temporary role: a session cannot rename its own role. */
const HELPER = "odoo_pg_adopts";

/**
 * Statements that give a cluster which odoo-pg did not make the superuser that it works as. The official image makes
 * its first superuser by the name in POSTGRES_USER, and a first superuser can never become an ordinary role: so it is
 * renamed to postgres, and its name is free for an ordinary one. One statement a line, as the single-user mode wants.
 */
function superuserStatements(verifier: string): string[] {
  const rename = `DO $do$ DECLARE first text := (SELECT rolname FROM pg_authid WHERE oid = 10); BEGIN IF first <> '${SUPERUSER}' THEN IF EXISTS (SELECT FROM pg_authid WHERE rolname = '${SUPERUSER}') THEN ALTER ROLE ${SUPERUSER} RENAME TO postgres_before; END IF; EXECUTE format('ALTER ROLE %I RENAME TO ${SUPERUSER}', first); END IF; END $do$`;
  return [
    // Settings of database postgres, or of the role, count here too.
    "SET ROLE NONE",
    "SET search_path = pg_catalog, pg_temp",
    "SET default_transaction_read_only = off",
    "SET statement_timeout = 0",
    "SET lock_timeout = 0",
    "SET log_statement = 'none'",
    "SET log_min_duration_statement = -1",
    "SET log_min_error_statement = 'panic'",
    `DROP ROLE IF EXISTS ${HELPER}`,
    `CREATE ROLE ${HELPER} SUPERUSER`,
    `SET SESSION AUTHORIZATION ${HELPER}`,
    rename,
    `ALTER ROLE ${SUPERUSER} SUPERUSER LOGIN REPLICATION PASSWORD ${quoteSqlLiteral(verifier)}`,
    `SET SESSION AUTHORIZATION ${SUPERUSER}`,
    `DROP ROLE ${HELPER}`,
  ];
}

/**
 * Prepares a data directory of another odoo-pg or of the official image so that this container can start it: its
 * superuser becomes `postgres` with our password. This uses PostgreSQL's single-user mode, which needs no earlier
 * password and lets nobody connect meanwhile. May be repeated. @throws OdooPgError command_failed
 */
export async function adoptDataDirectory(
  installation: Installation,
  files: NodeLayout,
  superuserPassword: string,
): Promise<void> {
  await disarmStaleLocks(files, undefined);
  const settings = ["shared_preload_libraries=", "archive_mode=off", "logging_collector=off", "jit=off"];
  const ran = await runOrFail(
    programOf(installation, "postgres"),
    ["--single", "-j", "-D", files.dataDir, ...settings.flatMap((one) => ["-c", one]), "postgres"],
    {
      // -j: a statement ends with a semicolon and two newlines.
      input: superuserStatements(scramVerifier(superuserPassword))
        .map((one) => `${one};\n\n`)
        .join(""),
      timeout: 0,
    },
  );
  const failure = /^.*(?:ERROR|FATAL):.*$/m.exec(ran.stderr)?.[0];
  if (!failure) return;
  throw new OdooPgError("command_failed", {
    message: `${files.dataDir} cannot be taken over: ${failure.replace(/SCRAM\S+/g, "…")}`,
    safe: "Its databases were not touched.",
    next: "Start it once with the image that made it, and stop it cleanly; then try again.",
  });
}

/**
 * The statements that give what the superuser owns in a database to a role: in the official image Odoo's role was the
 * superuser. What belongs to an extension stays with it, and so does what a trigger for events calls: that is run by
 * every superuser.
 */
const GIVE_ALL = `
    WITH mine AS (SELECT oid FROM pg_roles WHERE rolname = '${SUPERUSER}'),
      extension AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
    SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, $1::text) AS statement FROM pg_namespace n
      WHERE nspowner = (SELECT oid FROM mine) AND nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
        AND (2615, n.oid) NOT IN (SELECT classid, objid FROM extension)
    UNION ALL
    SELECT format('ALTER %s %I.%I OWNER TO %I',
        CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
        nspname, relname, $1::text)
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relowner = (SELECT oid FROM mine) AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND (1259, c.oid) NOT IN (SELECT classid, objid FROM extension)
        -- A sequence of a column goes with its table.
        AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 1259 AND objid = c.oid AND refclassid = 1259 AND deptype IN ('a', 'i'))
    UNION ALL
    SELECT format('ALTER ROUTINE %s OWNER TO %I', p.oid::regprocedure, $1::text) FROM pg_proc p
      JOIN pg_namespace n ON n.oid = pronamespace
      WHERE proowner = (SELECT oid FROM mine) AND prorettype <> 'event_trigger'::regtype AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND (1255, p.oid) NOT IN (SELECT classid, objid FROM extension)
    UNION ALL
    SELECT format('ALTER TYPE %s OWNER TO %I', t.oid::regtype, $1::text) FROM pg_type t
      JOIN pg_namespace n ON n.oid = typnamespace
      WHERE typowner = (SELECT oid FROM mine) AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND typtype IN ('c', 'd', 'e', 'r') AND (1247, t.oid) NOT IN (SELECT classid, objid FROM extension)
        AND NOT EXISTS (SELECT FROM pg_class WHERE oid = typrelid AND relkind <> 'c')`;

const TURN_OFF = `SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) AS statement
  FROM pg_event_trigger WHERE evtenabled <> 'D'`;

/**
 * Gives the databases that the superuser owns, with all that is in them, to a role; of a database that is the role's
 * already, what the superuser made in it. May be repeated. Returns the databases that change their owner.
 * @param theirs whether the data was another PostgreSQL's: then triggers for events, which every superuser would run, are
 *   turned off
 * @throws SqlError
 */
export async function giveDatabases(
  superuser: Superuser,
  newOwner: string,
  theirs: boolean,
): Promise<string[]> {
  const role = quoteSqlIdentifier(newOwner);
  const found = await superuser.use(async (session) => {
    const rows = await session.query(
      `SELECT datname, pg_get_userbyid(datdba) AS owner FROM pg_database
       WHERE NOT datistemplate AND datallowconn AND datname <> 'postgres' AND pg_get_userbyid(datdba) IN ($1, $2)
       ORDER BY datname`,
      [SUPERUSER, newOwner],
    );
    return rows.map(({ datname, owner }) => ({ name: String(datname), isGiven: owner !== newOwner }));
  });
  for (const { name, isGiven } of found) {
    await superuser.in(name).use(async (inside) => {
      await inside.query("BEGIN");
      if (theirs) {
        for (const { statement } of await inside.query(TURN_OFF)) await inside.query(String(statement));
      }
      for (const { statement } of await inside.query(GIVE_ALL, [newOwner]))
        await inside.query(String(statement));
      await inside.query("COMMIT");
      if (isGiven) await inside.query(`ALTER DATABASE ${quoteSqlIdentifier(name)} OWNER TO ${role}`);
    });
  }
  return found.filter(({ isGiven }) => isGiven).map(({ name }) => name);
}
