import path from "node:path";
import { writeFileAtomic, type Owner } from "../system/files/files.ts";
import { temporaryDirectory } from "../system/files/temporary-directory.ts";
import { makeFolder, removeIn } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";
import { run, runOrFail } from "../system/process/process.ts";
import { ALTERED_FILE, alteredLines, type AlteredLine } from "./sql/altered-settings.ts";
import { programOf, type Installation } from "./installation.ts";
import { tellingLines } from "./server.ts";

/** Tries whether a server starts with two texts: of postgresql.conf, and of postgresql.auto.conf. @returns its words where it does not */
type Attempt = (conf: string, auto: string) => Promise<string | undefined>;

/** Why a server does not start with its configuration. */
export interface StartFault {
  /** The server's own words. */
  readonly words: string;
  /** The line that ALTER SYSTEM wrote, where it is one; undefined where the fault is in the other file. */
  readonly altered: AlteredLine | undefined;
}

/**
 * Starts a server, waits until it is ready, and ends it at once. The shell gives up after 400 turns of 50 ms, about 20 s,
 * and ends the server: also where odoo-pg was killed meanwhile. The eighth line of postmaster.pid is the server's state
 * (miscadmin.h).
 */
const TRY = `
"$@" 2>&1 & server=$!
for turn in $(seq 400); do
  state=$(sed -n 8p "$TRIED/postmaster.pid" 2>/dev/null)
  case "$state" in ready*) kill -QUIT $server; wait $server; exit 0;; esac
  kill -0 $server 2>/dev/null || exit 1
  sleep 0.05
done
kill -QUIT $server; wait $server; exit 1`;

/** Settings that keep a trial server apart from the real one, and from doing needless work. */
const APART = {
  listen_addresses: "",
  external_pid_file: "",
  logging_collector: "off",
  log_destination: "stderr",
  archive_mode: "off",
  autovacuum: "off",
  fsync: "off",
};

/** Settings that stay as they are: the running server has this memory, and the trial, beside it, takes only a little. */
export interface Kept {
  readonly shared_buffers: boolean;
}

/**
 * Tries a whole configuration on an empty data directory, beside the server that is to get it: faults that only a start
 * shows (a missing library, more memory than there is) show before that server is stopped.
 * @returns undefined where it starts
 * @throws OdooPgError when nothing can be tried, as without room on the disk
 */
export async function tryConfiguration(
  options: { readonly installation: Installation; readonly owner: Owner | undefined; readonly kept?: Kept },
  conf: string,
  auto: string,
): Promise<StartFault | undefined> {
  return await onTrial(options, async (attempt) => {
    const words = await attempt(conf, auto);
    if (words === undefined) return undefined;
    const entries = alteredLines(auto);
    if (entries.length === 0 || (await attempt(conf, "")) !== undefined) return { words, altered: undefined };
    for (const entry of entries) {
      const alone = await attempt(conf, `${entry.text}\n`);
      if (alone !== undefined) return { words: alone, altered: entry };
    }
    return { words, altered: entries.at(-1) };
  });
}

async function onTrial<T>(
  {
    installation,
    owner,
    kept,
  }: { readonly installation: Installation; readonly owner: Owner | undefined; readonly kept?: Kept },
  use: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  return await temporaryDirectory(owner, async (directory) => {
    // The trial server runs as the servers' user, and writes here.
    const place = path.join(directory, "trial");
    await makeFolder(place, 0o700, owner);
    const data = path.join(place, "data");
    const conf = path.join(directory, "postgresql.conf");
    await runOrFail(
      programOf(installation, "initdb"),
      ["-D", data, "-U", "trial", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
      { owner },
    );
    const settings = {
      ...APART,
      data_directory: data,
      hba_file: path.join(data, "pg_hba.conf"),
      ident_file: path.join(data, "pg_ident.conf"),
      unix_socket_directories: place,
      ...(kept?.shared_buffers === true ? { shared_buffers: "1MB" } : {}),
    };
    const given = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const attempt: Attempt = async (text, auto) => {
      await writeFileAtomic(conf, text, { owner });
      await inFolder(data, async (folder) => {
        await writeFileAtomic(folder.at(ALTERED_FILE), auto, { owner });
        await folder.remove("postmaster.pid");
      });
      const server = [programOf(installation, "postgres"), "-D", data, "-c", `config_file=${conf}`, ...given];
      const ran = await run("sh", ["-c", TRY, "sh", ...server], { owner, environment: { TRIED: data } });
      if (ran.exitCode === 0) return undefined;
      return tellingLines(ran.stdout.replaceAll(conf, "postgresql.conf"));
    };
    try {
      return await use(attempt);
    } finally {
      await removeIn(place);
    }
  });
}
