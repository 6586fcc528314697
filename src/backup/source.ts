import type { Config } from "../config/schema.ts";
import type { Installation } from "../postgres/installation.ts";
import type { Owner } from "../system/files.ts";
import type { Credentials } from "../system/sql.ts";
import type { Manifest } from "./manifest.ts";
import type { BackupPlace } from "./place.ts";

/** What is backed up, from where, to where and for whom. */
export interface BackupSource {
  readonly config: Config;
  readonly place: BackupPlace;
  /** Programs of the server's major version. */
  readonly installation: Installation;
  /** The superuser's way to the primary, by its Unix socket. */
  readonly superuser: Credentials;
  /** A password file of mode 0600 that PostgreSQL's programs read. */
  readonly passfile: string;
  /** To whom backups belong; undefined where everything is one user. */
  readonly owner: Owner | undefined;
  readonly requestedBy: Manifest["requested_by"];
  /** Of odoo-pg. */
  readonly version: string;
  /** Processors of this machine: a parallel dump uses as many. */
  readonly processors: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The superuser's way into a database whose owner may have put anything there. With no schema to search, no function and
 * no operator of it can take the place of the system's own, and definitions are printed with all names in full.
 */
export function superuserIn({ superuser }: BackupSource, database: string): Credentials {
  const settings = { ...superuser.settings, search_path: "" };
  return { ...superuser, database, connectLimit: 10_000, settings };
}

/** Databases of odoo-pg itself that are in the making, or that are there to prove a backup: never backed up. */
export const SCRATCH_PREFIX = "odoo_pg_";
