import * as z from "zod";
import { parseLsn } from "../model/lsn.ts";
import type { Identity } from "../model/observation.ts";
import type { RoleAccess } from "./sql/access/role-access.ts";
import { askReplication, SqlError, type Credentials } from "../system/sql/sql.ts";

const identityRow = z.object({
  systemid: z.coerce.string(),
  timeline: z.coerce.number().int(),
  xlogpos: z.string().transform((text) => parseLsn(text)),
});

/** Asks a primary that odoo-pg does not run who it is, by the replication protocol: no other right is needed. @throws SqlError */
export async function identifyPrimary(credentials: Credentials): Promise<Identity> {
  const [row] = await askReplication(credentials, "IDENTIFY_SYSTEM");
  const { systemid, timeline, xlogpos } = identityRow.parse(row);
  return { system_identifier: systemid, timeline, current_lsn: xlogpos };
}

/**
 * Why a primary does not let a role replicate: its own words, such as about a password; undefined where it does, and where
 * it does not answer at all.
 */
export async function replicationRefusal(credentials: Credentials): Promise<string | undefined> {
  try {
    await identifyPrimary(credentials);
    return undefined;
  } catch (error) {
    // SQLSTATE: what PostgreSQL answered. Other codes are of the system.
    if (!(error instanceof SqlError) || !/^[0-9A-Z]{5}$/.test(error.code ?? "")) return undefined;
    // 57P03: it is starting or stopping.
    return error.code === "57P03" ? undefined : error.message;
  }
}

const tablespaceRow = z.object({ id: z.string(), location: z.string() });

/**
 * Its tablespaces, by object id. None where its role may only replicate: pg_basebackup then puts each at the path that it
 * has there, and refuses where files are there already.
 */
export async function foreignTablespaces(access: RoleAccess): Promise<ReadonlyMap<string, string>> {
  const rows = await access
    .use(
      async (session) =>
        await session.query(
          `SELECT oid::pg_catalog.text AS id, pg_catalog.pg_tablespace_location(oid) AS location
           FROM pg_catalog.pg_tablespace
           WHERE pg_catalog.left(pg_catalog.pg_tablespace_location(oid), 1) OPERATOR(pg_catalog.=) '/'`,
        ),
      { connectTimeout: 2000, statementTimeout: 5000 },
    )
    .catch(() => []);
  return new Map(
    tablespaceRow
      .array()
      .parse(rows)
      .map(({ id, location }) => [id, location]),
  );
}

/** Makes a physical slot on it that keeps WAL from now on. One that is there already is fine. @throws SqlError */
export async function ensureForeignSlot(credentials: Credentials, slot: string): Promise<void> {
  try {
    await askReplication(credentials, `CREATE_REPLICATION_SLOT "${slot}" PHYSICAL RESERVE_WAL`);
  } catch (error) {
    // 42710 duplicate_object: there already.
    if (!(error instanceof Error && "code" in error && error.code === "42710")) throw error;
  }
}
