import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import type { Installation } from "../postgres/installation.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import type { Owner } from "../system/files/files.ts";
import type { Manifest } from "./manifest.ts";
import type { BackupPlace } from "./place.ts";

/** The cluster that is backed up, the place for its backups and whom they belong to. */
export interface BackupSource {
  readonly config: Config;
  readonly place: BackupPlace;
  /** Programs of the server's major version. */
  readonly installation: Installation;
  /** The connection to the primary, by its Unix socket. */
  readonly superuser: Superuser;
  /** The connections to the replicas of this host. */
  readonly replicas: readonly Superuser[];
  readonly layout: Layout;
  /** Where password files for PostgreSQL's programs are made. */
  readonly secretsDir: string;
  /** Where restores unpack what they read, and write what they set aside. */
  readonly restoresDir: string;
  /** Owner of the backups; undefined where everything belongs to one user. */
  readonly owner: Owner | undefined;
  readonly requestedBy: Manifest["requested_by"];
  /** Of odoo-pg. */
  readonly version: string;
  /** Processors of this machine: a parallel dump uses as many. */
  readonly processors: number;
  readonly signal?: AbortSignal | undefined;
  /** A backup that is read at once and removed then: it need be neither small nor durable. */
  readonly isPassing?: boolean;
}

/** Odoo-pg's own databases, unfinished ones or those that prove a backup: never backed up. */
export const SCRATCH_PREFIX = "odoo_pg_";
