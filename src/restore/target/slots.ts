import { odooPg, nextStep } from "../../next-step.ts";
import { OdooPgError } from "../../errors.ts";
import type { Superuser } from "../../postgres/sql/access/superuser.ts";
import type { Session } from "../../system/sql/sql.ts";

const KEEP = "Keep the old database: --keep-old";

/**
 * A database that is dropped takes its logical replication slots with it, and PostgreSQL asks for no confirmation where
 * they are not in use at that moment (dbcommands.c, dropdb): a subscriber that uses them would need a new base backup.
 * They must be dropped by hand.
 * @param how.called the name by which it is known, where a transaction has just given it another
 * @param how.next what else can be done, as a sentence
 * @throws OdooPgError refused where the database has any
 */
export async function assertNoSlots(
  session: Session,
  database: string,
  how: { readonly called?: string; readonly next?: string } = {},
): Promise<void> {
  const { called = database, next } = how;
  const rows = await session.query(
    "SELECT slot_name AS name FROM pg_replication_slots WHERE slot_type = 'logical' AND database = $1 ORDER BY 1",
    [database],
  );
  const [first, ...more] = rows.map((row) => String(row["name"]));
  if (first === undefined) return;
  const names = [first, ...more].map((name) => `"${name}"`).join(", ");
  const drop = odooPg("psql", "--", "-c", `SELECT pg_drop_replication_slot('${first}')`);
  throw new OdooPgError("refused", {
    message: `Database "${called}" has ${more.length ? `${more.length + 1} logical replication slots` : "a logical replication slot"}, ${names}: dropping it would drop ${more.length ? "them" : "it"} too, and whoever follows by ${more.length ? "them" : "it"} would lose the stream.`,
    safe: "Nothing was changed.",
    next: nextStep`${next === undefined ? "" : `${next}, or `}${next === undefined ? "Drop" : "drop"} the slots that are no longer used, then run the same command again: ${drop}`,
  });
}

/** The same before anything is begun, for a database that is to be replaced: kept, it keeps its slots. */
export async function assertReplaceable(superuser: Superuser, database: string): Promise<void> {
  await superuser.use((session) => assertNoSlots(session, database, { next: KEEP }));
}
