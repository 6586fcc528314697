import { randomBytes } from "node:crypto";
import path from "node:path";
import type { NodeLayout } from "../config/layout.ts";
import { OdooPgError } from "../errors.ts";
import { writeFileAtomic, type Owner } from "../system/files/files.ts";
import { temporaryDirectory } from "../system/files/temporary-directory.ts";
import { renameIn } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { runOrFail } from "../system/process/process.ts";
import { programOf, type Installation } from "./installation.ts";
import { removePlaceOf } from "./tablespaces.ts";

/** The superuser that odoo-pg itself connects as. */
export const SUPERUSER = "postgres";

export interface InitialiseOptions {
  readonly installation: Installation;
  readonly owner: Owner | undefined;
  readonly files: NodeLayout;
  /** Of the superuser. */
  readonly password: string;
  /** Arguments behind our own, of which initdb takes the last. */
  readonly more?: readonly string[];
}

/**
 * Makes a new data directory: UTF8, C collation (sorting that no library update changes), checksums, SCRAM.
 * It is made beside its place and renamed when whole, so that an interrupted initdb leaves nothing that could start.
 */
export async function initialiseDataDirectory(options: InitialiseOptions): Promise<void> {
  const { installation, owner, files } = options;
  const newDataDir = await freshDirectory(files, owner);
  await temporaryDirectory(owner, async (folder) => {
    const passwordFile = path.join(folder, "password");
    await writeFileAtomic(passwordFile, `${options.password}\n`, { owner });
    await runOrFail(
      programOf(installation, "initdb"),
      [
        "-D",
        newDataDir,
        "-U",
        SUPERUSER,
        `--pwfile=${passwordFile}`,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--data-checksums",
        ...(options.more ?? []),
      ],
      { owner, timeout: 300_000 },
    );
  }).catch((error: unknown) => {
    throw withWayOut(error, options.more ?? []);
  });
  await renameIn(newDataDir, files.dataDir);
}

function withWayOut(error: unknown, more: readonly string[]): unknown {
  if (!(error instanceof OdooPgError) || error.code !== "command_failed") return error;
  const given = more.length ? ` It was given: ${more.join(" ")}.` : "";
  return new OdooPgError("command_failed", {
    message: `${error.message}${given}`,
    safe: "No data directory was made.",
    next: "Correct postgres.initdb_args (POSTGRES_INITDB_ARGS in a container) if it is those, then run the same command again.",
    cause: error,
  });
}

/** An empty directory for a new copy, after what earlier attempts left behind is gone. */
export async function freshDirectory(files: NodeLayout, owner: Owner | undefined): Promise<string> {
  const prefix = files.newDataPrefix;
  const directory = `${prefix}${randomBytes(4).toString("hex")}`;
  await inFolder(path.dirname(prefix), async (parent) => {
    for (const name of parent.names()) {
      if (!name.startsWith(path.basename(prefix))) continue;
      // As long as it is there, its tablespaces are nobody else's.
      await removePlaceOf(files, path.join(path.dirname(prefix), name));
      await parent.remove(name);
    }
    parent.make(path.basename(directory), 0o700, owner).close();
  });
  return directory;
}
