import { explainSql, type Session } from "../../system/sql/sql.ts";
import type { Contents } from "./contents.ts";
import { readDatabaseContents } from "./read-contents.ts";

/**
 * Reads the contents of a session's database while `work` dumps the same snapshot; returns them with the result of
 * `work`. Sequences have no snapshot: the lower of each one's values before and after is noted, so a value dumped in
 * between is never behind it.
 * @param further more work for the session after reading, while `work` may still run; its signal reports that `work`
 *   has failed, and that all is in vain
 * @throws what `work` throws, before anything of its own.
 */
export async function contentsBeside<T, U>(
  session: Session,
  work: () => Promise<T>,
  further: (signal: AbortSignal) => Promise<U>,
): Promise<{ readonly contents: Contents; readonly result: T; readonly besides: U }> {
  const before = await sequenceValues(session);
  const inVain = new AbortController();
  let begun: Promise<U> | undefined;
  const beside = async (): Promise<{ readonly contents: Contents; readonly besides: U }> => {
    const contents = await readDatabaseContents(session).catch(explained);
    inVain.signal.throwIfAborted();
    begun = further(inVain.signal);
    return { contents, besides: await begun };
  };
  const reading = beside();
  // Its error is handled when the work has ended: it must not be reported first.
  reading.catch(() => {});
  const result = await work().catch(async (error: unknown) => {
    inVain.abort();
    // Reading may wait for a lock, and ends with the session.
    await begun?.catch(() => {});
    throw error;
  });
  const { contents, besides } = await reading;
  const after = await sequenceValues(session).catch(explained);
  const sequences = contents.sequences.map((sequence) => {
    const name = nameOf(sequence);
    return { ...sequence, last_value: lower(before.get(name) ?? null, after.get(name) ?? null) };
  });
  return { contents: { ...contents, sequences }, result, besides };
}

function explained(error: unknown): never {
  throw explainSql(error, "Counting the rows of the database");
}

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  JSON.stringify([schema, name]);

/**
 * By schema and name. As text: a bigint. Null before the first use. A locked sequence is left out: this does not wait
 * for it, and claims nothing about it.
 */
async function sequenceValues(session: Session): Promise<Map<string, string | null>> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_sequence_last_value(c.oid)::text AS last_value
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'S' AND NOT EXISTS (
       SELECT FROM pg_catalog.pg_locks l
       WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock' AND l.granted
         AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))`,
  );
  return new Map(
    rows.map((row) => [
      nameOf({ schema: String(row["schema"]), name: String(row["name"]) }),
      typeof row["last_value"] === "string" ? row["last_value"] : null,
    ]),
  );
}

function lower(one: string | null, other: string | null): string | null {
  if (one === null || other === null) return null;
  return BigInt(one) < BigInt(other) ? one : other;
}
