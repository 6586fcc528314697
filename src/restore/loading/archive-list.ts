import { OdooPgError } from "../../errors.ts";
import type { Contents } from "../../backup/contents/contents.ts";
import type { SetAside } from "../target/set-aside.ts";

/** One thing in an archive. */
export interface ArchiveEntry {
  /** pg_restore's own number for it. */
  readonly id: number;
  /** As `pg_restore --list` writes it and `--use-list` reads it. */
  readonly line: string;
}

/** The output of `pg_restore --list` for an archive. */
export interface ArchiveList {
  /** Major version of the server that was dumped. */
  readonly serverMajor: number | undefined;
  /** Schemas and extensions: everything else needs them. */
  readonly first: readonly ArchiveEntry[];
  /** The rest, except what is handled separately: what comes last, and comments on extensions. */
  readonly load: readonly ArchiveEntry[];
  /** Row security, after which no foreign key can be checked, and privileges: statement by statement, in this order. */
  readonly last: readonly ArchiveEntry[];
  /** How many entries there are of each kind, such as `TABLE` and `TABLE DATA`. */
  readonly counts: ReadonlyMap<string, number>;
  /** Whether the tables by which Odoo is recognised are there. */
  readonly odoo: boolean;
}

/**
 * Kinds of two words and more come first, because their first word may be a kind too. Source: pg_dump.c, ArchiveEntry
 * calls.
 */
const KINDS =
  /^(\d+); \d+ \d+ (DEFAULT ACL|TABLE DATA|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|FOREIGN TABLE|SEQUENCE SET|SEQUENCE OWNED BY|FK CONSTRAINT|CHECK CONSTRAINT|DATABASE PROPERTIES|EVENT TRIGGER|TABLE ATTACH|INDEX ATTACH|ROW SECURITY|[A-Z]+) (.*)$/;

export function readArchiveList(text: string): ArchiveList {
  const first: ArchiveEntry[] = [];
  const load: ArchiveEntry[] = [];
  const security: ArchiveEntry[] = [];
  const privileges: ArchiveEntry[] = [];
  const counts = new Map<string, number>();
  let odoo = 0;
  let serverMajor: number | undefined;
  for (const line of text.split("\n")) {
    const version = /^;\s+Dumped from database version: (\d+)/.exec(line)?.[1];
    if (version !== undefined) serverMajor = Number(version);
    const [, id, kind, rest = ""] = KINDS.exec(line) ?? [];
    if (id === undefined || kind === undefined) continue;
    const entry = { id: Number(id), line };
    // Its comment is mostly the default one, which is left out.
    const ofPublic = kind === "COMMENT" && rest.startsWith("- SCHEMA public ");
    if (kind === "ACL" || kind === "DEFAULT ACL" || ofPublic) {
      privileges.push(entry);
      continue;
    }
    if (kind === "ROW SECURITY") {
      security.push(entry);
      continue;
    }
    if (kind === "DATABASE" || kind === "DATABASE PROPERTIES") continue;
    if (kind === "COMMENT" && /^- (?:EXTENSION|DATABASE) /.test(rest)) continue;
    // The new database has it.
    if (kind === "SCHEMA" && rest.startsWith("- public ")) continue;
    if (kind === "TABLE" && /^public (?:ir_attachment|ir_module_module) /.test(rest)) odoo += 1;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    (kind === "SCHEMA" || kind === "EXTENSION" ? first : load).push(entry);
  }
  return { serverMajor, first, load, last: [...security, ...privileges], counts, odoo: odoo === 2 };
}

/** What a restored database lacks compared to the archive, one line each. */
export function missingOfArchive(
  list: ArchiveList,
  setAside: readonly SetAside[],
  found: Contents,
): string[] {
  const views = (materialized: boolean): number =>
    found.views.filter((view) => view.materialized === materialized).length;
  const expected: [string, number][] = [
    ["TABLE", found.tables.length],
    ["INDEX", found.indexes.length],
    ["SEQUENCE", found.sequences.length],
    ["VIEW", views(false)],
    ["MATERIALIZED VIEW", views(true)],
    ["TRIGGER", found.triggers.length],
    ["FK CONSTRAINT", found.constraints.length],
    ["EXTENSION", found.extensions.length],
  ];
  return expected.flatMap(([kind, there]) => {
    const aside = setAside.filter(({ entry }) => entry?.type === kind).length;
    const wanted = (list.counts.get(kind) ?? 0) - aside;
    return there >= wanted ? [] : [`${kind.toLowerCase()}: ${there} instead of ${wanted}`];
  });
}

/**
 * Looks at the first bytes of an archive that pg_restore reads: `PGDMP`, then the version of the format.
 * Source: pg_backup_archiver.h, K_VERS_1_14 (PostgreSQL 12), K_VERS_1_15 (16), K_VERS_1_16 (17).
 * @throws OdooPgError dump_unusable when it is newer than the programs that are there.
 */
export function checkArchiveHeader(file: string, header: Buffer, major: number): void {
  const [, , , , , first = 0, second = 0] = header;
  const known = major >= 17 ? 16 : major === 16 ? 15 : 14;
  if (first === 1 && second <= known) return;
  const from = first === 1 && second === 15 ? "16" : "17 or later";
  throw new OdooPgError("dump_unusable", {
    message: `${file} was made by pg_dump of PostgreSQL ${from} (archive format ${first}.${second}), and the programs here are of PostgreSQL ${major}.`,
    safe: "Nothing that existed was changed.",
    next: `Restore it into a cluster of that version, or make a plain dump on the other side.`,
  });
}

/** @throws OdooPgError dump_unusable when the dumped server is newer than this one. */
export function checkArchiveVersion(file: string, list: ArchiveList, major: number): void {
  if (list.serverMajor === undefined || list.serverMajor <= major) return;
  throw new OdooPgError("dump_unusable", {
    message: `${file} was made from PostgreSQL ${list.serverMajor}, and this server is PostgreSQL ${major}.`,
    safe: "Nothing that existed was changed.",
    next: "Restore it into a cluster of that version or later.",
  });
}
