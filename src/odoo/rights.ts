import { OdooPgError } from "../errors.ts";
import { printableLine } from "../printable.ts";
import { keepPassing } from "../postgres/sql/access/passing.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { SqlError, type Session } from "../system/sql/sql.ts";
import { closeOpen } from "./closing.ts";
import { giveToOwners, isShared, leaveGroup, type Given } from "./ownership.ts";

/** Timeout of each statement that looks for what has to be given, in milliseconds. */
const GIVING_TIMEOUT = 5000;

/**
 * Gives each database of a cluster to its owner: what older versions left shared is given to the owners, roles leave
 * the group that shared it, and databases that are open to every role are closed. Each step checks first.
 * @param tell receives one line for each kind of change
 */
export async function settleRights(
  superuser: Superuser,
  session: Session,
  tell: (text: string) => void,
): Promise<void> {
  // Where the group shares everything, owners come first: a role that leaves the group must not lose what it works
  // with, nor may roles that it let in be shut out. Otherwise access comes first: no role is let in by objects that it
  // created as the group.
  const shared = await isShared(session);
  if (!shared) await close(session, tell);
  const { given, busy, failed } = await giveToOwners(superuser, session);
  if (given.length) tell(`give what ${count(given, "database")} shared to their owners`);
  if (busy.length)
    tell(
      `in use, so something there is still shared: ${printableLine(busy.join(", "))}; the next up gives it to the owner`,
    );
  for (const each of failed) tell(`${notGiven(each)}; the next up tries again`);
  const left = busy.length || failed.length ? [] : await leaveGroup(session);
  if (left.length) tell(`take ${count(left, "role")} out of the group openerp`);
  if (shared) await close(session, tell);
  await keepPassing(session);
}

async function close(session: Session, tell: (text: string) => void): Promise<void> {
  const { closed, busy } = await closeOpen(session);
  if (closed.length)
    tell(`close ${count(closed, "database")} to all but the owner and who was given something there`);
  if (busy.length)
    tell(
      `in use, so still open to everybody: ${printableLine(busy.join(", "))}; the agent closes it when it is free`,
    );
}

/** What was done while the cluster runs, and what failed. */
interface Kept {
  /** Undefined where it was not checked. */
  readonly given: Given | undefined;
  readonly closed: readonly string[];
  /** Databases that another session has locked now: still open to every role. */
  readonly busy: readonly string[];
}

/**
 * The same while the cluster runs: databases may appear at any time. None stays open while objects are given, and a
 * failure of one step does not stop the other.
 * @param every whether owners are checked even where nothing is new
 * @throws SqlError where nothing could be closed
 */
export async function keepRights(superuser: Superuser, session: Session, every: boolean): Promise<Kept> {
  const closing = await closeOpen(session).catch((error: unknown) => ({ error, closed: [], busy: [] }));
  const given = every || closing.closed.length ? await giving(superuser) : undefined;
  if ("error" in closing) throw closing.error;
  await keepPassing(session);
  return { given, closed: closing.closed, busy: closing.busy };
}

/** In a session of its own, as the other one may be broken. */
async function giving(superuser: Superuser): Promise<Given> {
  try {
    return await superuser.use((session) => giveToOwners(superuser, session), {
      applicationName: "odoo-pg agent",
      statementTimeout: GIVING_TIMEOUT,
    });
  } catch (error) {
    if (!(error instanceof SqlError || error instanceof OdooPgError)) throw error;
    return { given: [], busy: [], failed: [{ database: undefined, message: error.message }] };
  }
}

/** What could not be given to its owner, and why, in a few words. */
export function notGiven({ database, message }: Given["failed"][number]): string {
  const where = database === undefined ? "some database" : `database ${printableLine(database)}`;
  return `what is in ${where} could not be given to its owner: ${printableLine(message)}`;
}

function count(things: readonly string[], what: string): string {
  return `${things.length} ${what}${things.length === 1 ? "" : "s"}`;
}
