import * as z from "zod";
import { parseLsn, type Lsn } from "../cluster/lsn.ts";
import { askReplication, type Credentials } from "../system/sql.ts";

/** What a primary tells anybody who may replicate from it. */
export interface Identity {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** The end of its WAL, flushed. */
  readonly lsn: Lsn;
}

const identityRow = z.object({
  systemid: z.coerce.string(),
  timeline: z.coerce.number().int(),
  xlogpos: z.string().transform((text) => parseLsn(text)),
});

/** Asks a primary that odoo-pg does not run who it is, by the replication protocol: no other right is needed. @throws SqlError */
export async function identifyPrimary(credentials: Credentials): Promise<Identity> {
  const [row] = await askReplication(credentials, "IDENTIFY_SYSTEM");
  const { systemid, timeline, xlogpos } = identityRow.parse(row);
  return { systemIdentifier: systemid, timeline, lsn: xlogpos };
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
