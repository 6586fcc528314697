import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { expect } from "vitest";
import type { Progress } from "../../src/progress.ts";
import type { Contents } from "../../src/backup/contents/contents.ts";
import { readDatabaseContents } from "../../src/backup/contents/read-contents.ts";
import { findInput } from "../../src/restore/reading/input.ts";
import { restoreDatabase, type RestoreReport } from "../../src/restore/restore.ts";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { conninfo } from "../../src/postgres/sql/quoting.ts";
import { withSession } from "../support/with-session.ts";
import { backupsOf, silent, type TestBackups } from "../backup/backup-source.ts";
import type { ThrowawayNode } from "../postgres/throwaway-node.ts";
import { makeOdooDatabase, type OdooDatabase } from "../support/odoo-database.ts";

export interface Restoring extends TestBackups {
  readonly node: ThrowawayNode;
  /** Restores a backup's id or a path into a new database. */
  readonly as: (word: string, database: string, progress?: Progress) => Promise<RestoreReport>;
  readonly replace: (
    word: string,
    database: string,
    options?: { keepOld?: boolean; progress?: Progress },
  ) => Promise<RestoreReport>;
  readonly contents: (database: string) => Promise<Contents>;
  /** Runs pg_dump on a database; returns the file. */
  readonly dump: (database: string, file: string, ...args: readonly string[]) => string;
  readonly make: (
    database: string,
    options?: { attachments?: number; bytes?: number; partners?: number },
  ) => Promise<OdooDatabase>;
  /** Nothing of a restore is left but what it was to make. */
  readonly nothingLeft: () => Promise<void>;
  readonly databases: () => Promise<string[]>;
}

/** Backups and restores of a node, with a filestore of their own. */
export async function restoring(
  node: ThrowawayNode,
  options: Parameters<typeof backupsOf>[1] = {},
): Promise<Restoring> {
  await withSession(node.superuser, (session) => ensureRoles(session, "odoo", node.passwords));
  const backups = backupsOf(node, options);
  const { source, filestore } = backups;
  const restore = async (
    word: string,
    database: string,
    replace: boolean,
    keepOld: boolean,
    progress: Progress = silent,
  ): Promise<RestoreReport> => {
    const input = await findInput(source.place, "/", word);
    return await restoreDatabase(source, { input, database, replace, keepOld }, progress);
  };
  const databases = async (): Promise<string[]> => {
    const rows = await withSession(node.superuser, (session) =>
      session.query(
        "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY 1",
      ),
    );
    return rows.map((row) => String(row["datname"]));
  };
  return {
    ...backups,
    node,
    databases,
    as: (word, database, progress) => restore(word, database, false, false, progress),
    replace: (word, database, { keepOld = false, progress } = {}) =>
      restore(word, database, true, keepOld, progress),
    contents: (database) => withSession({ ...node.superuser, database }, readDatabaseContents),
    dump(database, file, ...args) {
      const { host, port, user } = node.superuser;
      const target = conninfo({ host, port, user, dbname: database });
      execFileSync(programOf(node.installation, "pg_dump"), ["-f", file, ...args, "-d", target], {
        env: { PGPASSWORD: node.passwords.postgres },
      });
      return file;
    },
    make: (database, more = {}) =>
      makeOdooDatabase({ superuser: node.superuser, database, filestore, ...more }),
    async nothingLeft() {
      const rows = await withSession(node.superuser, (session) =>
        session.query(
          `SELECT datname AS name FROM pg_database WHERE datname LIKE 'odoo\\_pg\\_%' OR datname LIKE '%\\_old\\_%'
           UNION SELECT rolname FROM pg_roles WHERE rolname LIKE 'odoo\\_pg\\_%'`,
        ),
      );
      expect(rows).toEqual([]);
      expect(readdirSync(filestore).filter((name) => /odoo.pg|_old_/.test(name))).toEqual([]);
      expect(readdirSync(source.secretsDir).filter((name) => name.includes("loader"))).toEqual([]);
    },
  };
}
