import { randomBytes } from "node:crypto";
import {
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  type OrdinarySession,
  type Session,
} from "../../../system/sql/sql.ts";
import { isMighty } from "./passing.ts";
import type { SessionOptions } from "./role-access.ts";
import { scramVerifier } from "./scram.ts";
import { BEGIN_UNRECORDED } from "./unrecorded.ts";
import type { Superuser } from "./superuser.ts";

const PREFIX = "odoo_pg_stand_in_";

/** Seconds for which one may log in: what a run that was killed left behind is worth nothing after that. */
const VALID = 60;

/**
 * Does something with the rights of a role whose password is not kept, by a role of its own that is a member of it and
 * of nothing else: whatever is called in that session cannot become more than the role itself, as it could in a session
 * of the superuser that only took the role on. It is gone afterwards.
 * @param password of the stand-in, for this one session
 * @returns undefined where the role is more than a user of databases, and nothing was done
 * @throws SqlError
 */
export async function inPlaceOf<T>(
  superuser: Superuser,
  {
    role,
    database,
    password,
  }: { readonly role: string; readonly database: string; readonly password: string },
  act: (session: OrdinarySession) => Promise<T>,
  options: SessionOptions,
): Promise<T | undefined> {
  return await superuser.use(async (keeper) => {
    if (await isMighty(keeper, role)) return undefined;
    await dropExpired(keeper);
    const name = `${PREFIX}${randomBytes(4).toString("hex")}`;
    await keeper.query(BEGIN_UNRECORDED);
    try {
      const [row] = await keeper.query(
        `SELECT (pg_catalog.now() + interval '${VALID} seconds')::text AS until`,
      );
      await keeper.query(
        `CREATE ROLE ${id(name)} LOGIN INHERIT CONNECTION LIMIT 1 VALID UNTIL ${literal(String(row?.["until"]))}
         PASSWORD ${literal(scramVerifier(password))} IN ROLE ${id(role)}`,
      );
      await keeper.query("COMMIT");
    } catch (error) {
      await keeper.query("ROLLBACK").catch(() => {});
      throw error;
    }
    try {
      const access = superuser.in(database).as(name, password);
      return await access.use(act, { ...options, settings: { ...options.settings, role } });
    } finally {
      await drop(keeper, name);
    }
  });
}

async function dropExpired(keeper: Session): Promise<void> {
  const rows = await keeper.query(
    `SELECT rolname::text AS name FROM pg_catalog.pg_roles
     WHERE pg_catalog.starts_with(rolname::text, '${PREFIX}') AND rolvaliduntil < pg_catalog.now()`,
  );
  for (const { name } of rows) await drop(keeper, String(name));
}

/** A role that owns something made in its session stays, but may no longer log in. */
async function drop(keeper: Session, name: string): Promise<void> {
  await keeper
    .query(`DROP ROLE IF EXISTS ${id(name)}`)
    .catch(async () => await keeper.query(`ALTER ROLE ${id(name)} NOLOGIN PASSWORD NULL`));
}
