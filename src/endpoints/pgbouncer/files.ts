import path from "node:path";
import type { Layout } from "../../config/layout.ts";
import type { Backend } from "../servers.ts";

/** What the PgBouncer of one endpoint reads and writes. */
export interface PgbouncerFiles {
  readonly dir: string;
  readonly config: string;
  /** The clients that may connect, from where, and how. */
  readonly access: string;
  /** The roles that may log in: SCRAM secrets, no passwords. */
  readonly users: string;
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly log: string;
  /** The process that was started. */
  readonly process: string;
  /** The directory of Unix sockets: of PgBouncer's console, and of HAProxy's way to the servers. */
  readonly runDir: string;
}

export function pgbouncerFiles(
  layout: Pick<Layout, "pgbouncerDir" | "runDir">,
  endpoint: Backend,
): PgbouncerFiles {
  const at = (name: string): string => path.join(layout.pgbouncerDir, `${endpoint}${name}`);
  return {
    dir: layout.pgbouncerDir,
    config: at(".ini"),
    access: at(".hba"),
    users: at(".users"),
    certificateFile: at(".crt"),
    keyFile: at(".key"),
    log: at(".log"),
    process: at(".process.json"),
    runDir: layout.runDir,
  };
}
