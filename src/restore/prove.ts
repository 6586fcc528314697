import { SqlError, type Session } from "../system/sql/sql.ts";
import { compareContents } from "../backup/contents/compare.ts";
import { objectsIn, type Contents } from "../backup/contents/contents.ts";
import { readDatabaseContents, readDefinitions, withUnseenRows } from "../backup/contents/read-contents.ts";
import { SEARCH_ALL } from "../backup/search-path.ts";
import { trulyOther } from "./canonical.ts";
import { settleRights } from "./target/rights.ts";
import { restoreFailed, type Filling, type Loaded } from "./loading/filling.ts";
import { giveBack, ownersAfter } from "./target/owners.ts";

export interface Proven {
  readonly found: Contents;
  readonly notes: readonly string[];
}

/**
 * Compares what was loaded with what it should be, computes its statistics, and gives everything to its owners: the
 * part that a restore and a drill have in common.
 * @param owner of the database and of objects without an owner of their own
 * @param attachments checks the attachments that the database names, as its loader; returns what to know about them
 * @throws OdooPgError restore_failed with the differences.
 */
export async function proveLoaded(
  { source, database, target, progress }: Filling,
  loaded: Loaded,
  owner: string,
  attachments: () => Promise<readonly string[]>,
): Promise<Proven> {
  progress.step(database, "compare");
  // In parallel: each is one process of the server.
  const [compared, analyzed, attached] = await Promise.allSettled([
    target.loading.use(async (session) => {
      const seen = await readDatabaseContents(session);
      const found = await target.superuser.use((superuser) => withUnseenRows(superuser, seen));
      const differences = await trulyOther(session, loaded.differences(found));
      if (differences.length)
        throw restoreFailed(
          differences.map(({ line }) => line),
          loaded.objects ?? objectsIn(found),
        );
      return found;
    }),
    target.loading.use((session) => makeStatistics(session)),
    attachments(),
  ]);
  if (compared.status === "rejected") throw compared.reason;
  if (attached.status === "rejected") throw attached.reason;
  if (analyzed.status === "rejected") throw analyzed.reason;
  const found = compared.value;
  await target.dismissLoader(owner);
  const notes = [...loaded.notes, ...analyzed.value, ...attached.value];
  if (loaded.owners) notes.push(...(await giveBack(target, loaded.owners, owner)));
  if (loaded.rights)
    notes.push(
      ...(await settleRights(target, loaded.rights.all, { before: loaded.rights.owner, now: owner })),
    );
  await target.superuser.use(async (session) => {
    const expected = await ownersAfter(session, found, loaded.owners, owner, target.loader);
    const differences = compareContents(expected, await readDefinitions(session), {
      owners: true,
      definitions: true,
    });
    if (differences.length) throw restoreFailed(differences, objectsIn(expected));
  });
  source.signal?.throwIfAborted();
  notes.push(...(await target.setDatabaseSettings(loaded.settings)));
  return { found, notes };
}

/** Computes the statistics. An expression that cannot be evaluated loses only its own. */
async function makeStatistics(session: Session): Promise<string[]> {
  await session.query(SEARCH_ALL);
  try {
    await session.query("ANALYZE");
    return [];
  } catch (error) {
    // 53: no room, 57: ended by an operator.
    if (session.broken() || !(error instanceof SqlError) || /^(?:53|57)/.test(error.code ?? "")) throw error;
    return [`ANALYZE did not come to its end: ${error.message}`];
  }
}
