import path from "node:path";
import type { NodeLayout } from "../../../config/layout.ts";
import type { Installation } from "../../../postgres/installation.ts";
import { startServer, stopServer } from "../../../postgres/server.ts";
import { quoteSetting } from "../../../postgres/sql/quoting.ts";
import { readableBy, removeFile, writeFileAtomic, type Owner } from "../../../system/files/files.ts";
import { settingsFileOf } from "../../render/own-files.ts";

/** Milliseconds for a copy to replay what it came with. */
const TIMEOUT = 6 * 3_600_000;

/** It listens on no address: this names its socket alone, beside that of the server whose place it will take. */
const SOCKET_PORT = "65535";

/**
 * Starts a copy once as a standby that follows nobody, and stops it again. So it is proven before it counts, and it has
 * reached consistency: in a copy as it comes the control file says "in production", which Patroni takes for a primary
 * that crashed; by the recovery that it does then, the copy would part from its primary.
 * @param copy the directory; `files` say where all else of the node lies
 * @throws OdooPgError node_failed
 */
export async function proveCopy(
  copy: string,
  files: NodeLayout,
  node: string,
  shared: Readonly<Record<string, string>>,
  installation: Installation,
  owner: Owner | undefined,
): Promise<void> {
  const configFile = path.join(files.dir, "prove.conf");
  const settings = {
    ...shared,
    data_directory: copy,
    hba_file: files.hbaFile,
    ident_file: files.identFile,
    port: SOCKET_PORT,
    listen_addresses: "",
    unix_socket_directories: files.socketDir,
    primary_conninfo: "",
    hot_standby: "on",
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${quoteSetting(value)}`);
  await writeFileAtomic(
    configFile,
    [`include ${quoteSetting(settingsFileOf(files))}`, ...lines, ""].join("\n"),
    readableBy(owner),
  );
  try {
    await startServer({
      installation,
      files: { ...files, dataDir: copy, configFile },
      owner,
      node,
      timeout: TIMEOUT,
    });
  } finally {
    await stopServer(copy, node, "fast");
    await removeFile(configFile);
  }
}
