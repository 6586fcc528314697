import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import { parseJson } from "../system/files/json-file.ts";

const seconds = z.number().transform((at) => new Date(at * 1000).toISOString());
/** pgBackRest reports it in whole seconds: what it has is whole after that one. */
const secondsAfter = z.number().transform((at) => new Date((at + 1) * 1000).toISOString());

/** What `pgbackrest info --output=json` says of a stanza, as far as it is needed. */
const stanzaSchema = z.object({
  name: z.string(),
  db: z.array(z.object({ id: z.number(), "system-id": z.string() })).default([]),
  backup: z
    .array(
      z.object({
        label: z.string().regex(/^[0-9A-Z_-]+$/),
        type: z.enum(["full", "diff", "incr"]),
        database: z.object({ id: z.number() }),
        error: z.boolean().nullish(),
        timestamp: z.object({ start: seconds, stop: secondsAfter }),
        archive: z.object({ start: z.string().nullish() }).nullish(),
        lsn: z.object({ stop: z.string() }),
        info: z.object({
          size: z.number(),
          repository: z.object({ delta: z.number() }),
        }),
      }),
    )
    .default([]),
});

/**
 * Reads which base backups a repository has of a cluster, the oldest first.
 * @param text as `pgbackrest info --output=json` prints it
 * @throws OdooPgError command_failed when the text is something else
 */
export function readInfo(text: string, stanza: string, systemIdentifier: string): BaseBackup[] {
  const { found, own } = readStanza(text, stanza, systemIdentifier);
  return (found?.backup ?? [])
    .filter(({ database, error }) => own.has(database.id) && error !== true)
    .map(({ label, type, timestamp, archive, lsn, info }) => ({
      label,
      type,
      started_at: timestamp.start,
      stopped_at: timestamp.stop,
      stop_lsn: lsn.stop,
      timeline: timelineOf(archive?.start),
      archive_start: archive?.start ?? undefined,
      database_bytes: info.size,
      repository_bytes: info.repository.delta,
    }))
    .toSorted((a, b) => (a.stopped_at < b.stopped_at ? -1 : 1));
}

/** A segment is named for its timeline first. */
function timelineOf(segment: string | null | undefined): number | null {
  const [, timeline] = /^([0-9A-F]{8})[0-9A-F]{16}$/.exec(segment ?? "") ?? [];
  return timeline === undefined ? null : Number.parseInt(timeline, 16);
}

/** What is reported of a stanza, and which of its databases are this cluster. */
function readStanza(
  text: string,
  stanza: string,
  systemIdentifier: string,
): { readonly found: z.output<typeof stanzaSchema> | undefined; readonly own: ReadonlySet<number> } {
  // A system identifier has 64 bits, and a number in JavaScript 53.
  const exact = text.replaceAll(/("system-id":)(\d+)/g, '$1"$2"');
  const parsed = parseJson(exact, z.array(stanzaSchema));
  if (!parsed.ok) {
    throw new OdooPgError("command_failed", {
      message: `pgbackrest info does not say what the repository holds: ${parsed.problem}.`,
    });
  }
  const found = parsed.value.find(({ name }) => name === stanza);
  const own = new Set(found?.db.flatMap((db) => (db["system-id"] === systemIdentifier ? [db.id] : [])) ?? []);
  return { found, own };
}
