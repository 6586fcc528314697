import { nextStep, odooPg } from "../next-step.ts";
import * as z from "zod";
import { namesThatAre } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { SCRATCH_PREFIX } from "./source.ts";

const rowSchema = z.object({ name: z.string(), bytes: z.coerce.number() });
export type DatabaseSize = z.output<typeof rowSchema>;

/**
 * The databases that are backed up: all that take connections, except templates, `postgres` and odoo-pg's own.
 * @param onlyFilter keeps names that contain it
 */
export async function databasesToBackUp(
  superuser: Superuser,
  onlyFilter: string | undefined,
): Promise<DatabaseSize[]> {
  const all = await existingDatabases(superuser);
  return all.filter(
    ({ name }) =>
      name !== "postgres" &&
      !name.startsWith(SCRATCH_PREFIX) &&
      (onlyFilter === undefined || name.includes(onlyFilter)),
  );
}

/** As asked for by name, in their order. @throws OdooPgError database_unknown. */
export async function databasesNamed(
  superuser: Superuser,
  names: readonly string[],
): Promise<DatabaseSize[]> {
  const all = await existingDatabases(superuser);
  return [...new Set(names)].map((name) => {
    const found = all.find((database) => database.name === name);
    if (found) return found;
    throw new OdooPgError("database_unknown", {
      message: `There is no database "${name}". ${namesThatAre(
        name,
        all.map((database) => database.name),
      )}`,
      safe: "Nothing was changed.",
      next: nextStep`List them: ${odooPg("db", "list")}`,
    });
  });
}

async function existingDatabases(superuser: Superuser): Promise<DatabaseSize[]> {
  return await superuser.use(async (session) => {
    // A limit of -2 marks one whose DROP DATABASE was interrupted.
    const rows = await session.query(
      `SELECT datname AS name, coalesce(pg_database_size(oid), 0)::text AS bytes FROM pg_database
       WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2 ORDER BY datname COLLATE "C"`,
    );
    return rowSchema.array().parse(rows);
  });
}

/** The number of a database: another one of its name has another. Undefined where there is none. */
export async function databaseNumber(superuser: Superuser, name: string): Promise<string | undefined> {
  return await superuser.use(async (session) => {
    const [row] = await session.query("SELECT oid::text AS oid FROM pg_database WHERE datname = $1", [name]);
    return row === undefined ? undefined : String(row["oid"]);
  });
}

/**
 * The state of a database at this moment. `gone`: dropped, renamed, or closed to connections, as a database is before a
 * drop or a rename. `replaced`: another database has its name. `changing`: a session holds the lock that a drop or a rename
 * takes, or waits for it; a drop waits for a checkpoint.
 * @param oid its number
 */
export async function databaseState(
  superuser: Superuser,
  name: string,
  oid: string | undefined,
): Promise<"there" | "changing" | "gone" | "replaced"> {
  return await superuser.use(async (session) => {
    const [row] = await session.query(
      `SELECT oid::text AS oid, datallowconn AND datconnlimit <> -2 AS open, EXISTS (SELECT FROM pg_locks l
         WHERE l.locktype = 'object' AND l.classid = 'pg_database'::regclass AND l.objid = d.oid
           AND l.mode = 'AccessExclusiveLock') AS changing
       FROM pg_database d WHERE datname = $1`,
      [name],
    );
    if (row?.["open"] !== true) return "gone";
    if (oid !== undefined && row["oid"] !== oid) return "replaced";
    return row["changing"] === true ? "changing" : "there";
  });
}
