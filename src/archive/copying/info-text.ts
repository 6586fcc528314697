import * as z from "zod";
import { parseJson } from "../../system/files/json-file.ts";
import { isLabel } from "./names.ts";

/** A PostgreSQL that a stanza has or had. */
export interface StanzaDatabase {
  readonly id: number;
  readonly systemIdentifier: string;
  readonly version: string;
}

/** What archive.info or backup.info says of a stanza. */
export interface StanzaInfo {
  /** Which of them it is for now. */
  readonly id: number;
  readonly databases: readonly StanzaDatabase[];
}

/** A base backup, as backup.info names it. Times are milliseconds since the epoch. */
export interface InfoBase {
  readonly label: string;
  readonly stoppedAt: number;
  /** The first segment that it needs; undefined for one that was made of a server that did not run. */
  readonly archiveStart: string | undefined;
  readonly databaseId: number;
  /** Where it stopped; undefined for the same. */
  readonly stopLsn?: string | undefined;
}

/** The texts of archive.info and backup.info. */
export interface InfoTexts {
  readonly archive: string;
  readonly backup: string;
}

const historySchema = z.object({ "db-version": z.string() });
const idSchema = z.int().min(1).max(9999);

const baseSchema = z.object({
  "backup-timestamp-stop": z.int().min(0).max(8_000_000_000),
  "backup-archive-start": z
    .string()
    .regex(/^[0-9A-F]{24}$/)
    .nullish(),
  "db-id": idSchema,
  "backup-lsn-stop": z
    .string()
    .regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/)
    .nullish()
    .catch(undefined),
});

/** A section's lines, as key and value. */
function section(text: string, name: string): (readonly [string, string])[] {
  const lines = text.split("\n");
  const start = lines.indexOf(`[${name}]`);
  if (start < 0) return [];
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => line.startsWith("["));
  return rest.slice(0, end < 0 ? undefined : end).flatMap((line) => {
    const at = line.indexOf("=");
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)] as const];
  });
}

/**
 * Which PostgreSQL a stanza is for.
 * @param text of archive.info or backup.info
 * @returns undefined where it is no such file: cut off, or encrypted, which odoo-pg's are not
 */
export function stanzaInfo(text: string): StanzaInfo | undefined {
  const current = parseJson(new Map(section(text, "db")).get("db-id") ?? "", idSchema);
  // It ends with its checksum.
  if (!current.ok || !/^backrest-checksum="[0-9a-f]{40}"$/m.test(text)) return undefined;
  const databases = section(text, "db:history").flatMap(([key, value]) => {
    const id = parseJson(key, idSchema);
    const known = parseJson(value, historySchema);
    // 64 bits: a number of JSON has 53. archive.info calls it db-id.
    const systemIdentifier = /"db-(?:system-)?id":(\d{1,20})[,}]/.exec(value)?.[1];
    return id.ok && known.ok && systemIdentifier !== undefined
      ? [{ id: id.value, systemIdentifier, version: known.value["db-version"] }]
      : [];
  });
  return databases.some(({ id }) => id === current.value) ? { id: current.value, databases } : undefined;
}

/** The PostgreSQL that a stanza is for now. */
export function currentOf({ id, databases }: StanzaInfo): StanzaDatabase | undefined {
  return databases.find((database) => database.id === id);
}

/** The base backups that backup.info names, the oldest first. */
export function basesIn(text: string): InfoBase[] {
  const found = section(text, "backup:current").flatMap(([label, value]) => {
    const parsed = isLabel(label) ? parseJson(value, baseSchema) : undefined;
    if (parsed?.ok !== true) return [];
    const known = parsed.value;
    return [
      {
        label,
        stoppedAt: known["backup-timestamp-stop"] * 1000,
        archiveStart: known["backup-archive-start"] ?? undefined,
        databaseId: known["db-id"],
        stopLsn: known["backup-lsn-stop"] ?? undefined,
      },
    ];
  });
  return found.toSorted((a, b) => (a.label < b.label ? -1 : 1));
}
