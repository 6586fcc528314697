import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Progress } from "../../src/progress.ts";
import { type CataloguedBackup, readCatalogue } from "../../src/backup/catalogue.ts";
import { databasesNamed } from "../../src/backup/databases.ts";
import { placeOf } from "../../src/backup/place.ts";
import type { DatabaseResult, RunReport } from "../../src/model/backups/backup-report.ts";
import { backUpDatabases, withBackupLock } from "../../src/runs/run.ts";
import type { BackupSource } from "../../src/backup/source.ts";
import { SoundFiles, type Verified, verifyBackup } from "../../src/backup/verify.ts";
import type { Config } from "../../src/config/schema.ts";
import type { ThrowawayNode } from "../postgres/throwaway-node.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

export const silent: Progress = { step: () => {}, bytes: () => {}, note: () => {} };

export interface TestBackups {
  readonly source: BackupSource;
  /** Folder of all filestores. */
  readonly filestore: string;
  readonly backUp: (...databases: readonly string[]) => Promise<RunReport>;
  /** As backUp, of one database that has to succeed. */
  readonly backUpOne: (database: string) => Promise<DatabaseResult>;
  readonly catalogue: () => Promise<readonly CataloguedBackup[]>;
  readonly newest: () => Promise<CataloguedBackup>;
  readonly verify: (backup: CataloguedBackup) => Promise<Verified>;
}

/** Backups of a node into a folder of their own, by the modules alone. */
export function backupsOf(
  node: ThrowawayNode,
  options: {
    readonly dir?: string;
    readonly filestore?: string;
    readonly backup?: Partial<Config["backup"]>;
    readonly progress?: Progress;
    readonly signal?: AbortSignal;
    readonly installation?: BackupSource["installation"];
  } = {},
): TestBackups {
  const folder = temporaryFolder();
  const filestore = options.filestore ?? join(folder, "filestore");
  mkdirSync(filestore, { recursive: true });
  const source: BackupSource = {
    config: {
      ...node.config,
      odoo: { ...node.config.odoo, filestore },
      backup: { ...node.config.backup, ...options.backup },
    },
    place: placeOf(options.dir ?? join(folder, "backups")),
    installation: options.installation ?? node.installation,
    superuser: node.access,
    replicas: [],
    layout: node.layout,
    secretsDir: node.layout.secretsDir,
    restoresDir: join(folder, "restores"),
    owner: node.owner,
    requestedBy: { kind: "command", user: "tester", host: "here" },
    version: "0.0.0",
    processors: 2,
    signal: options.signal,
  };
  const backUp = async (...databases: readonly string[]): Promise<RunReport> =>
    await withBackupLock(source, async () =>
      backUpDatabases(source, await databasesNamed(source.superuser, databases), options.progress ?? silent),
    );
  const catalogue = async (): Promise<readonly CataloguedBackup[]> =>
    (await readCatalogue(source.place)).backups;
  return {
    source,
    filestore,
    backUp,
    catalogue,
    async backUpOne(database) {
      const { databases } = await backUp(database);
      const [result] = databases;
      if (result?.outcome !== "ok") throw new Error(`the backup failed: ${result?.error ?? "no result"}`);
      return result;
    },
    async newest() {
      const backup = (await catalogue()).at(-1);
      if (!backup) throw new Error("there is no backup");
      return backup;
    },
    async verify(backup) {
      const found = await verifyBackup(backup, new SoundFiles(), {
        owner: source.owner,
        progress: silent,
      });
      if (!found) throw new Error("the backup is gone");
      return found;
    },
  };
}
